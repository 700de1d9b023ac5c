// Package archtest holds the code to the arrows of ARCHITECTURE.md and to the form of
// its package comments.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "fulfillment-worker/"

// mayImport is the picture in ARCHITECTURE.md: each package, and those of internal that
// it may import. A test may import more, but for servers: it has testenv.
var mayImport = map[string]string{
	"cmd/queuectl": "config db inspect order queue reconcile watch",
	"cmd/worker":   "config dashboard db fulfil httpd inspect logger metrics outage queue reconcile traces",
	"scripts/*":    "config inspect order queue rig servers",
	// It judges the worker, and shares no code with it.
	"scripts/chaos": "proxy rig servers",

	"internal/config":    "",
	"internal/crash":     "",
	"internal/dashboard": "config inspect queue",

	"internal/db":      "groupcommit metrics order outage",
	"internal/fulfil":  "crash db logger metrics order queue traces",
	"internal/httpd":   "",
	"internal/inspect": "metrics order queue",
	"internal/logger":  "",
	"internal/order":   "",
	"internal/outage":  "",
	"internal/queue":   "crash groupcommit logger metrics outage",

	"internal/reconcile": "crash db logger metrics order queue",
	"internal/traces":    "logger order queue",

	"internal/archtest":    "",
	"internal/groupcommit": "",
	"internal/metrics":     "",
	"internal/model":       "",
	"internal/proxy":       "",
	"internal/rig":         "servers",
	"internal/servers":     "",
	"internal/testenv":     "proxy servers",
	"internal/watch":       "inspect order queue",

	"internal/testenv/browser": "testenv",
}

// knows are the modules of others that a package may import, where that says what the
// package is about. Packages that are not listed may import any.
var knows = map[string]string{
	"internal/crash":  "",
	"internal/db":     "github.com/jackc/pgx/v5",
	"internal/fulfil": "",
	"internal/httpd":  "",
	"internal/logger": "",
	"internal/model":  "",
	"internal/order":  "",
	"internal/outage": "github.com/cenkalti/backoff/v4",

	"internal/groupcommit": "",
	"internal/metrics":     "github.com/prometheus/client_golang",
	"internal/proxy":       "",
	"internal/queue":       "github.com/redis/go-redis/v9",

	"internal/reconcile": "",
}

const promise = "\n# What callers may rely on\n"

// pkg is the files of one folder.
type pkg struct {
	code, tests []*ast.File
}

// faults says where a tree breaks the rules.
func faults(tree fs.FS) (faults []string, err error) {
	pkgs, err := parse(tree)
	if err != nil {
		return nil, err
	}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		p := pkgs[dir]
		row, known := rowOf(dir)
		if !known {
			fault("%s: the picture in ARCHITECTURE.md has no such package", dir)
			continue
		}
		for to := range importsOf(p.code) {
			name, ours := strings.CutPrefix(to, module)
			switch {
			case ours && !slices.Contains(row, strings.TrimPrefix(name, "internal/")):
				fault("%s imports %s: the picture in ARCHITECTURE.md has no such arrow", dir, name)
			case !ours && !mayKnow(dir, to):
				fault("%s imports %s: that is none of its business", dir, to)
			}
		}
		for to := range importsOf(p.tests) {
			if to == module+"internal/servers" && dir != "internal/servers" && !slices.Contains(row, "servers") {
				fault("the tests of %s import internal/servers: tests use testenv", dir)
			}
		}
		faults = append(faults, commentFaults(dir, p)...)
	}
	for row := range mayImport {
		if pkgs[row] == nil && !strings.HasSuffix(row, "/*") {
			fault("%s is in the picture, but not in the code", row)
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// parse reads every Go file of a tree, whatever its build tags, but for modules of their own.
func parse(tree fs.FS) (map[string]*pkg, error) {
	pkgs := map[string]*pkg{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		hidden := name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (hidden || base == "testdata" || isOtherModule(tree, name)):
			return fs.SkipDir
		case entry.IsDir() || hidden || path.Ext(name) != ".go":
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		p := pkgs[path.Dir(name)]
		if p == nil {
			p = &pkg{}
			pkgs[path.Dir(name)] = p
		}
		if strings.HasSuffix(name, "_test.go") {
			p.tests = append(p.tests, file)
		} else {
			p.code = append(p.code, file)
		}
		return nil
	})
	return pkgs, err
}

func isOtherModule(tree fs.FS, dir string) bool {
	_, err := fs.Stat(tree, path.Join(dir, "go.mod"))
	return dir != "." && err == nil
}

// rowOf is what a package may import, and whether it has a row in the picture at all.
func rowOf(dir string) (row []string, known bool) {
	text, known := mayImport[dir]
	if !known {
		text, known = mayImport[path.Dir(dir)+"/*"]
	}
	return strings.Fields(text), known
}

// mayKnow reports whether a package may import a path that is not ours.
func mayKnow(dir, to string) bool {
	first, _, _ := strings.Cut(to, "/")
	if first == "go.opentelemetry.io" {
		return dir == "internal/traces"
	}
	allowed, limited := knows[dir]
	if !limited || !strings.Contains(first, ".") { // any, or the standard library
		return true
	}
	return allowed != "" && (to == allowed || strings.HasPrefix(to, allowed+"/"))
}

func importsOf(files []*ast.File) map[string]bool {
	paths := map[string]bool{}
	for _, file := range files {
		for _, spec := range file.Imports {
			if to, err := strconv.Unquote(spec.Path.Value); err == nil {
				paths[to] = true
			}
		}
	}
	return paths
}

// commentFaults says what is wrong with the package comment. A package of tests alone
// may keep it there, and promises nothing.
func commentFaults(dir string, p *pkg) (faults []string) {
	files := p.code
	if len(files) == 0 {
		files = p.tests
	}
	var comments []string
	name := ""
	for _, file := range files {
		name = file.Name.Name
		if file.Doc != nil {
			comments = append(comments, file.Doc.Text())
		}
	}
	begin := "Package " + name + " "
	if name == "main" {
		begin = "Command " + path.Base(dir) + " "
	}
	switch {
	case len(comments) != 1:
		return []string{fmt.Sprintf("%s has %d package comments, want one", dir, len(comments))}
	case !strings.HasPrefix(comments[0], begin):
		faults = append(faults, fmt.Sprintf("the comment of %s does not begin with %q", dir, begin))
	}
	if strings.HasPrefix(dir, "internal/") && len(p.code) > 0 && !strings.Contains(comments[0], promise) {
		faults = append(faults, fmt.Sprintf("the comment of %s has no heading %q", dir, strings.TrimSpace(promise)))
	}
	return faults
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	found, err := faults(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range found {
		t.Error(fault)
	}
}

// What OpenTelemetry has beside its SDK brings gRPC, which is a third of the worker then.
func TestArchitecture_linksNoGRPC(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../cmd/worker").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"internal/traces") {
		t.Fatalf("%d packages are linked, and not internal/traces", len(deps))
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, "google.golang.org/grpc") {
			t.Errorf("the worker links %s", dep)
		}
	}
}

// The check itself: in a tree that is right, one file is added or changed.
// The table of guarantees in ARCHITECTURE.md names tests, and each of them exists.
func TestArchitecture_namesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := parse(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, p := range pkgs {
		for _, f := range p.tests {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					exists[fn.Name.Name] = true
				}
			}
		}
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 10 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !exists[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
	}
}

func TestArchitecture_seesWhatIsWrong(t *testing.T) {
	t.Parallel()
	const comment = "// Package x knows x.\n//\n// # What callers may rely on\n//\n//   - It is x.\npackage x\n"
	tests := []struct{ name, file, source, want string }{
		{"nothing", "scripts/demo/main.go", "// Command demo shows it.\npackage main\n\nimport _ \"fulfillment-worker/internal/servers\"\n", ""},
		{"an unknown package", "internal/util/util.go", comment, "internal/util: the picture in ARCHITECTURE.md has no such package"},
		{"an unknown package at the top", "x.go", comment, ".: the picture in ARCHITECTURE.md has no such package"},
		{"a program in the wrong place", "tools/gen/main.go", "package main", "tools/gen: the picture in ARCHITECTURE.md has no such package"},
		{"the queue looks at the database", "internal/queue/x.go", `package queue; import _ "fulfillment-worker/internal/db"`, "internal/queue imports internal/db: the picture in ARCHITECTURE.md has no such arrow"},
		{"the database looks at the queue", "internal/db/x.go", `package db; import q "fulfillment-worker/internal/queue"`, "internal/db imports internal/queue: the picture in ARCHITECTURE.md has no such arrow"},
		{"a file behind a build tag", "internal/queue/x.go", "//go:build torture\n\npackage queue; import _ \"fulfillment-worker/internal/fulfil\"", "internal/queue imports internal/fulfil: the picture in ARCHITECTURE.md has no such arrow"},
		{"the domain imports something", "internal/order/x.go", `package order; import _ "fulfillment-worker/internal/logger"`, "internal/order imports internal/logger: the picture in ARCHITECTURE.md has no such arrow"},
		{"the domain leaves the standard library", "internal/order/x.go", `package order; import _ "github.com/jackc/pgx/v5"`, "internal/order imports github.com/jackc/pgx/v5: that is none of its business"},
		{"the queue knows SQL", "internal/queue/x.go", `package queue; import _ "github.com/jackc/pgx/v5/pgxpool"`, "internal/queue imports github.com/jackc/pgx/v5/pgxpool: that is none of its business"},
		{"a program that does the worker's work", "cmd/queuectl/x.go", `package main; import _ "fulfillment-worker/internal/fulfil"`, "cmd/queuectl imports internal/fulfil: the picture in ARCHITECTURE.md has no such arrow"},
		{"OpenTelemetry outside the traces", "cmd/worker/x.go", `package main; import _ "go.opentelemetry.io/otel/trace"`, "cmd/worker imports go.opentelemetry.io/otel/trace: that is none of its business"},
		{"OpenTelemetry in a test", "cmd/worker/x_test.go", `package main; import _ "go.opentelemetry.io/proto/otlp/trace/v1"`, ""},
		{"a script that does the worker's work", "scripts/demo/main.go", "// Command demo shows it.\npackage main\n\nimport _ \"fulfillment-worker/internal/fulfil\"\n", "scripts/demo imports internal/fulfil: the picture in ARCHITECTURE.md has no such arrow"},
		{"a judge who shares the worker's code", "scripts/chaos/x.go", `package chaos; import _ "fulfillment-worker/internal/queue"`, "scripts/chaos imports internal/queue: the picture in ARCHITECTURE.md has no such arrow"},
		{"testenv outside a test", "cmd/worker/x.go", `package main; import _ "fulfillment-worker/internal/testenv"`, "cmd/worker imports internal/testenv: the picture in ARCHITECTURE.md has no such arrow"},
		{"testenv in a test", "cmd/worker/x_test.go", `package main; import _ "fulfillment-worker/internal/testenv"`, ""},
		{"servers in a test", "cmd/worker/x_test.go", `package main; import _ "fulfillment-worker/internal/servers"`, "the tests of cmd/worker import internal/servers: tests use testenv"},
		{"no package comment", "internal/logger/logger.go", "package logger", "internal/logger has 0 package comments, want one"},
		{"two package comments", "internal/logger/x.go", "// Package logger logs.\npackage logger", "internal/logger has 2 package comments, want one"},
		{"a comment that stands apart", "internal/logger/logger.go", "// Package logger logs.\n\npackage logger", "internal/logger has 0 package comments, want one"},
		{"a comment about something else", "cmd/worker/main.go", "// This is the worker.\npackage main", `the comment of cmd/worker does not begin with "Command worker "`},
		{"a comment that promises nothing", "internal/logger/logger.go", "// Package logger logs.\npackage logger", `the comment of internal/logger has no heading "# What callers may rely on"`},
		{"a file that is no Go", "internal/logger/testdata/x.go", "no Go", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := rightTree()
			tree[tt.file] = &fstest.MapFile{Data: []byte(tt.source)}
			found, err := faults(tree)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(found, "\n"); got != tt.want {
				t.Errorf("the faults are %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a module of its own", func(t *testing.T) {
		t.Parallel()
		tree := rightTree()
		tree["scripts/x/y/go.mod"] = &fstest.MapFile{Data: []byte("module x\n")}
		tree["scripts/x/y/y.go"] = &fstest.MapFile{Data: []byte("package y")}
		if found, err := faults(tree); err != nil || len(found) > 0 {
			t.Errorf("the faults are %q, %v, want none", found, err)
		}
	})
	t.Run("a package that is gone", func(t *testing.T) {
		t.Parallel()
		tree := rightTree()
		delete(tree, "internal/crash/crash.go")
		found, err := faults(tree)
		if want := "internal/crash is in the picture, but not in the code"; err != nil || !slices.Equal(found, []string{want}) {
			t.Errorf("the faults are %q, %v, want %q", found, err, want)
		}
	})
}

// rightTree has each package of the picture, with each import that it may have.
func rightTree() fstest.MapFS {
	tree := fstest.MapFS{}
	for dir, row := range mayImport {
		if strings.HasSuffix(dir, "/*") {
			continue
		}
		base := path.Base(dir)
		source := "// Package " + base + " knows it.\n//\n// # What callers may rely on\n//\n//   - It does.\npackage " + base + "\n"
		if strings.HasPrefix(dir, "cmd/") {
			source = "// Command " + base + " does it.\npackage main\n"
		}
		for _, to := range strings.Fields(row) {
			source += "import _ \"" + module + "internal/" + to + "\"\n"
		}
		file := base + ".go"
		if strings.HasPrefix(dir, "cmd/") {
			file = "main.go"
		}
		tree[dir+"/"+file] = &fstest.MapFile{Data: []byte(source)}
	}
	return tree
}

// byServersClocks are the packages that talk to Redis, PostgreSQL and FULFILLMENT_URL.
// This machine's clock may be off: they measure with it, but neither tell others the time
// of day nor compare it to theirs.
var byServersClocks = []string{"internal/db", "internal/fulfil", "internal/outage", "internal/queue", "internal/reconcile"}

// tellsTime are the methods that make a time of day of a time.Time.
var tellsTime = []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local"}

// clockFaults says where a file may use this machine's time of day. Times that came from a
// server are not told apart: the function that handles them is named in except.
func clockFaults(file *ast.File, except ...string) (faults []string) {
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || slices.Contains(except, fn.Name.Name) {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			callee, ok := call.Fun.(*ast.SelectorExpr)
			switch {
			case !ok:
			case isTime(callee, "Until"):
				faults = append(faults, fn.Name.Name+" calls time.Until")
			case len(call.Args) == 0 && slices.Contains(tellsTime, callee.Sel.Name):
				faults = append(faults, fn.Name.Name+" calls "+callee.Sel.Name)
			case callee.Sel.Name == "Format", callee.Sel.Name == "AppendFormat":
				faults = append(faults, fn.Name.Name+" calls "+callee.Sel.Name)
			}
			for _, arg := range call.Args {
				if inner, ok := arg.(*ast.CallExpr); ok {
					if sel, ok := inner.Fun.(*ast.SelectorExpr); ok && isTime(sel, "Now") {
						faults = append(faults, fn.Name.Name+" passes time.Now() on")
					}
				}
			}
			return true
		})
	}
	return faults
}

func isTime(s *ast.SelectorExpr, name string) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "time" && s.Sel.Name == name
}

func TestArchitecture_goesByServersClocks(t *testing.T) {
	t.Parallel()
	pkgs, err := parse(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range byServersClocks {
		for _, file := range pkgs[dir].code {
			for _, fault := range clockFaults(file, "reapAll", "redisClock") { // by Redis's clock
				t.Errorf("%s: %s", dir, fault)
			}
		}
	}
	for source, want := range map[string]bool{
		`at := time.Now(); _ = time.Since(at)`:             false,
		`send(time.Now())`:                                 true,
		`at := time.Now(); send(at.UnixMilli())`:           true,
		`at := time.Now(); send(at.Format(time.RFC3339))`:  true,
		`if time.Until(deadline) > 0 { return }`:           true,
		`at := time.Now(); send(at.UTC())`:                 true,
		`silent := time.Since(last); log(silent.Round(1))`: false,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() { "+source+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if found := clockFaults(file); (len(found) > 0) != want {
			t.Errorf("in %q it finds %q", source, found)
		}
	}
}
