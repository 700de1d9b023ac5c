package model

import "math/bits"

// Mechanism is a set of the protocol's safeguards, each of which a [Config] can take away.
type Mechanism uint64

// The mechanisms.
const (
	TokenGuard     Mechanism = 1 << iota // Finish compares the token
	SeizeGuard                           // a take-over compares the version that it read
	TakeOver                             // a row in processing is taken over at all
	MarkNeeded                           // and only with the mark that a former holder left
	LookGate                             // which is there for nobody whose lease is gone
	SeenFirst                            // and only the version that was seen before that look
	OwnClaim                             // a claim of unknown outcome may take over what it finds
	ReadAgain                            // a finish of unknown outcome is tried again, and is no failure
	CommitFirst                          // the row is finished before the message is forgotten
	JoinFirst                            // an instance is registered before it claims
	Audit                                // a worker looks for strays in its own list
	AuditFirst                           // and does so before it claims again, if an answer was lost
	Reaping                              // somebody gives back what the dead held
	Condemning                           // a reaper ends the lease for good before it moves anything
	OneStepReap                          // the look at the lease and the move are one step
	EmptyFirst                           // a registration goes only with an empty list
	BeatGate                             // no beat brings back a lease that is gone
	StartGate                            // no work begins under a lease that is gone
	OwnClock                             // nor without a look at Redis under one that may be over
	HeirPays                             // a death is charged only where the order is taken over
	ChargeDeaths                         // a death is charged at all
	ChargeTwinOnce                       // and once, if copies come back
	MarkOnce                             // the mark goes with the charge
	FirstMark                            // a mark stays until somebody has begun
	ReapMark                             // the reaper, a hand-back, a retry, the reconciler and
	LeaveMark                            // who requeues a dead letter each leave the mark
	RetryMark                            //
	SurveyMark                           //
	RequeueMark                          //
	FrontOfQueue                         // what comes back goes to the front
	PutOffFree                           // to wait for another holder is charged nothing
	AckClears                            // what is kept about a message goes with it
	AckLeased                            // and is looked for once the lease may be over
	CopyAcked                            // a message of a fulfilled order is forgotten
	OrphanGate                           // and get no lease that a living worker might beat
	OrphanSearch                         // lists without a registration are found
	Patience                             // a row that nobody touches for long is taken over without a mark
	Reconciler                           // what Redis has lost is queued again
	SurveyDead                           // but not what is a dead letter
	SurveyAgain                          // nor what has moved on since the look
	mechanisms

	All = mechanisms - 1
)

var names = [...]string{
	"TokenGuard",
	"SeizeGuard",
	"TakeOver",
	"MarkNeeded",
	"LookGate",
	"SeenFirst",
	"OwnClaim",
	"ReadAgain",
	"CommitFirst",
	"JoinFirst",
	"Audit",
	"AuditFirst",
	"Reaping",
	"Condemning",
	"OneStepReap",
	"EmptyFirst",
	"BeatGate",
	"StartGate",
	"OwnClock",
	"HeirPays",
	"ChargeDeaths",
	"ChargeTwinOnce",
	"MarkOnce",
	"FirstMark",
	"ReapMark",
	"LeaveMark",
	"RetryMark",
	"SurveyMark",
	"RequeueMark",
	"FrontOfQueue",
	"PutOffFree",
	"AckClears",
	"AckLeased",
	"CopyAcked",
	"OrphanGate",
	"OrphanSearch",
	"Patience",
	"Reconciler",
	"SurveyDead",
	"SurveyAgain",
}

// String names them.
func (m Mechanism) String() (text string) {
	for ; m != 0; m &= m - 1 {
		text += " " + names[bits.TrailingZeros64(uint64(m))]
	}
	return text[min(1, len(text)):]
}
