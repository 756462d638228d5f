package config

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	good := map[string]Duration{
		"0": 0, "off": 0, "0s": 0, "2ms": 2 * Millisecond, "1h30m": 90 * Minute, "1.5s": 1500 * Millisecond, "30d": 30 * Day, "2w": 14 * Day,
		"1us": 1000, "7ns": 7, "3650d": maxDuration,
	}
	for text, want := range good {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2", "ms", "-1s", "1 s", "1s ", "1x", "1.2.3s", "1e3s", "3651d", "999999999999999999999h", "1S", "."} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	good := map[string]Size{"0": 0, "off": 0, "1537": 1537, "64M": 64 * MiB, "64m": 64 * MiB, "1K": 1024, "8388607T": 8388607 * TiB}
	for text, want := range good {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "M", "-1", "1.5M", "64MB", "64 M", "8388608T", "99999999999999999999"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

// TestUnitsRoundTrip: what is written is read as the same, up to what a float
// holds exactly.
func TestUnitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, 1<<53).Draw(t, "duration"))
		if got, err := ParseDuration(d.String()); err != nil || got != d {
			t.Fatalf("%d is written %s and read %d, %v", d, d, got, err)
		}
		s := Size(rapid.Int64Range(0, 1<<62).Draw(t, "size"))
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Fatalf("%d is written %s and read %d, %v", s, s, got, err)
		}
	})
}

func TestParseHostPort(t *testing.T) {
	good := map[string]HostPort{
		"192.168.1.168": {"192.168.1.168", 0}, "web1.example.com:8730": {"web1.example.com", 8730},
		"::1": {"::1", 0}, "[::1]": {"::1", 0}, "[2001:DB8::1]:873": {"2001:db8::1", 873},
	}
	for text, want := range good {
		if got, err := ParseHostPort(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":873", "h:", "h:0", "h:65536", "h:x", "[::1", "a b", "-h", "h:1:2", "user@h"} {
		if got, err := ParseHostPort(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"quiet", "quiet", 0}, {"quiit", "quiet", 1}, {"qiuet", "quiet", 1}, {"allow", "alow", 1}, {"ca", "abc", 3}, {"kitten", "sitting", 3}}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
