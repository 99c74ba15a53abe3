// Writes what net/http/pprof serves of a process whose memory grows: two heap profiles and one of goroutines.
//
//	go build -trimpath -o /tmp/make data/profiles/make.go && /tmp/make data/profiles
package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
)

var kept [][]byte

//go:noinline
func grow(megabytes int) {
	for range megabytes {
		kept = append(kept, make([]byte, 1<<20))
	}
}

func take(name, file string) {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/debug/pprof/"+name, nil)
	pprof.Handler(name).ServeHTTP(recorder, request)
	if err := os.WriteFile(filepath.Join(os.Args[1], file), recorder.Body.Bytes(), 0o644); err != nil {
		panic(err)
	}
}

func main() {
	runtime.MemProfileRate = 1
	grow(4)
	runtime.GC()
	take("heap", "heap-1.pb.gz")
	wait := make(chan struct{})
	for range 20 {
		go func() { <-wait }()
	}
	grow(16)
	runtime.GC()
	take("heap", "heap-2.pb.gz")
	take("goroutine", "goroutine.pb.gz")
	runtime.KeepAlive(kept)
}
