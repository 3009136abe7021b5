// An HTTP server as Go's library makes it, with goroutines beside it that compute, allocate and wait for each other:
// any answer that is wrong, and any sum that does not come out, ends it with a panic.
package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"time"
)

func body() []byte {
	var text bytes.Buffer
	for i := 1; i <= 2000; i++ {
		fmt.Fprintln(&text, i)
	}
	return text.Bytes()
}

// Hands out fresh copies of the body, each to be summed by another goroutine.
func produce(into chan<- []byte, pattern []byte) {
	for {
		into <- append([]byte(nil), pattern...)
	}
}

func check(from <-chan []byte, expected uint32) {
	for each := range from {
		if crc32.ChecksumIEEE(each) != expected {
			panic("what was allocated has changed")
		}
	}
}

func tick() {
	last := time.Now()
	for now := range time.Tick(time.Millisecond) {
		if now.Before(last) {
			panic("the clock went back")
		}
		last = now
	}
}

func main() {
	text := body()
	pieces := make(chan []byte, 64)
	for i := 0; i < 4; i++ {
		go check(pieces, crc32.ChecksumIEEE(text))
	}
	go produce(pieces, text)
	go tick()
	http.HandleFunc("/text", func(answer http.ResponseWriter, question *http.Request) { answer.Write(text) })
	fmt.Println("ready")
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":8081", nil))
	os.Exit(1)
}
