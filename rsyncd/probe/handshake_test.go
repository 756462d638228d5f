package probe

import (
	"net/netip"
	"strings"
	"testing"
)

// What daemons of several ages greet with, and what we answer.
func TestGreeting(t *testing.T) {
	for _, tt := range []struct {
		line, reply string
		digest      digest
		err         string
	}{
		{"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", "@RSYNCD: 32.0 sha512", "sha512", ""},
		{"@RSYNCD: 31.0 sha1 md5", "@RSYNCD: 31.0 sha1", "sha1", ""},
		{"@RSYNCD: 31.0 md5 md4", "@RSYNCD: 31.0 md5", "md5", ""},
		{"@RSYNCD: 31.0", "@RSYNCD: 31.0", "md5", ""},
		{"@RSYNCD: 32.0 blake3", "", "", "blake3"},
		{"HTTP/1.1 400 Bad Request", "", "", "no greeting"},
		{"@RSYNCD: ", "", "", "no greeting"},
		{"", "", "", "no greeting"},
	} {
		g, err := parseGreeting(tt.line)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %v, want …%s…", tt.line, err, tt.err)
			}
			continue
		}
		if err != nil || g.reply() != tt.reply || g.digest != tt.digest {
			t.Errorf("%q: got %+v, %q, %v", tt.line, g, g.reply(), err)
		}
	}
}

func TestVisitors(t *testing.T) {
	for _, tt := range []struct {
		allow            string
		friend, stranger string
		err              string
	}{
		{"10.0.0.1", "10.0.0.1", "192.0.2.1", ""},
		{"10.0.0.0/8 10.0.0.1", "10.0.0.0", "192.0.2.1", ""},
		{"192.0.2.0/24 198.51.100.1", "192.0.2.0", "203.0.113.1", ""},
		{"fe80::1%eth0", "fe80::1", "192.0.2.1", ""},
		{"0.0.0.0/1 128.0.0.0/1", "0.0.0.0", "2001:db8::1", ""},
		{"0.0.0.0/1 128.0.0.0/1 ::/1", "", "", "every address"},
		{"web1.example.com", "", "", "neither"},
		{"", "", "", "empty"},
	} {
		friend, stranger, err := visitors(strings.Fields(tt.allow))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want …%s…", tt.allow, err, tt.err)
			}
			continue
		}
		if err != nil || friend != netip.MustParseAddr(tt.friend) || stranger != netip.MustParseAddr(tt.stranger) {
			t.Errorf("%s: got %v, %v, %v", tt.allow, friend, stranger, err)
		}
	}
}
