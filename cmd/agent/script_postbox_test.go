package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

// postbox takes HTTP requests at a port of this machine and prints a line for
// each: method, path and body.
func postbox() {
	serve := func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Printf("%s %s %s\n", r.Method, r.URL.Path, body)
		if err != nil {
			fmt.Fprintln(os.Stderr, "postbox:", err)
		}
	}
	fmt.Fprintln(os.Stderr, "postbox:", http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(serve)))
	os.Exit(1)
}
