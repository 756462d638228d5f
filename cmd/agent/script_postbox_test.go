package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// postbox prints each HTTP request it takes, with the headers that hooks add, and
// answers as every CDN likes it. A signature is checked with the secret behind the
// port.
func postbox() {
	serve := func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Authorization", "Fastly-Key"} {
			if v := r.Header.Get(name); v != "" {
				fmt.Printf("%s: %s\n", name, v)
			}
		}
		body, err := io.ReadAll(r.Body)
		if signature := r.Header.Get("X-Syncagent-Signature"); signature != "" {
			mac := hmac.New(sha256.New, []byte(os.Args[2]))
			mac.Write(body)
			fmt.Printf("signed: %t\n", signature == fmt.Sprintf("sha256=%x", mac.Sum(nil)))
		}
		fmt.Printf("%s %s %s\n", r.Method, r.URL.RequestURI(), body)
		if err != nil {
			fmt.Fprintln(os.Stderr, "postbox:", err)
		}
		w.Header().Set("whatsup", "content=\"succeed\"")
	}
	fmt.Fprintln(os.Stderr, "postbox:", http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(serve)))
	os.Exit(1)
}

// fetch asks METHOD URL, prints the answer's body, and fails where it is not 200.
func fetch() {
	req, err := http.NewRequest(os.Args[1], os.Args[2], nil)
	if err == nil {
		var answer *http.Response
		if answer, err = http.DefaultClient.Do(req); err == nil {
			defer answer.Body.Close()
			if _, err = io.Copy(os.Stdout, answer.Body); err == nil && answer.StatusCode != http.StatusOK {
				err = errors.New(answer.Status)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

// earpiece prints in quotes what each connection to a port, or to a unix socket,
// brings.
func earpiece() {
	network, address := "tcp", "127.0.0.1:"+os.Args[1]
	if strings.Contains(os.Args[1], "/") {
		network, address = "unix", os.Args[1]
	}
	l, err := net.Listen(network, address)
	for err == nil {
		var c net.Conn
		if c, err = l.Accept(); err != nil {
			break
		}
		text, _ := io.ReadAll(c) // what did arrive is what counts
		fmt.Printf("%q\n", text)
		c.Close()
	}
	fmt.Fprintln(os.Stderr, "earpiece:", err)
	os.Exit(1)
}
