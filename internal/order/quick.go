package order

// quick reads what the Order API writes: a flat object of whole numbers and of strings
// without escapes, in ASCII. It reports false for whatever may be anything else, be it
// JSON or not: thorough knows. It is there because thorough takes several times as long.
func quick(payload []byte) (f fields, ok bool) {
	s := scanner{rest: payload}
	s.take('{')
	for more := true; more; more = s.next() == ',' && s.take(',') {
		name := s.text()
		s.take(':')
		value := s.value()
		if s.lost {
			return f, false
		}
		f.set(string(name[1:len(name)-1]), value)
	}
	return f, s.take('}') && s.next() == 0 && len(s.rest) == 0
}

// scanner cuts a payload into tokens, until it meets something that it does not know:
// then it is lost.
type scanner struct {
	rest []byte
	lost bool
}

// next is the byte behind the blanks; 0 at the end.
func (s *scanner) next() byte {
	for i, c := range s.rest {
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			s.rest = s.rest[i:]
			return c
		}
	}
	s.rest = nil
	return 0
}

// take takes one byte, which must be c.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		s.lost = true
		return false
	}
	s.cut(1)
	return true
}

// value takes a string or a whole number.
func (s *scanner) value() []byte {
	if s.next() == '"' {
		return s.text()
	}
	return s.number()
}

// text takes a string with its quotes.
func (s *scanner) text() []byte {
	if s.next() == '"' {
		for i, c := range s.rest[1:] {
			switch {
			case c == '"':
				return s.cut(i + 2)
			case c < ' ' || c > '~' || c == '\\':
				s.lost = true
				return nil
			}
		}
	}
	s.lost = true
	return nil
}

// number takes a whole number. One that goes on as no whole number does is met by
// whoever takes what must come next.
func (s *scanner) number() []byte {
	sign := 0
	if s.next() == '-' {
		sign = 1
	}
	end := sign
	for end < len(s.rest) && '0' <= s.rest[end] && s.rest[end] <= '9' {
		end++
	}
	if end == sign || end > sign+1 && s.rest[sign] == '0' {
		s.lost = true
		return nil
	}
	return s.cut(end)
}

func (s *scanner) cut(n int) []byte {
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token
}
