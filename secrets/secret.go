package secrets

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

const (
	// MaxPassword is the longest password in bytes: what rsync reads of a
	// client password file.
	MaxPassword = 511
	// MaxUser is the longest user name in bytes: with MaxPassword and the
	// colon it fills the 1023 bytes of a line of the daemon's secrets file.
	MaxUser = 511

	redacted    = "********"
	generateLen = 32
)

// Secret is a password that cannot print itself. The zero value is empty. It
// is not comparable with ==; use Equal.
type Secret struct {
	_    [0]func()
	text *string
}

// Generate returns 32 random bytes as 43 characters of base64url: letters,
// digits, '-' and '_', which no file format and no shell gives a meaning.
func Generate() (Secret, error) {
	raw := make([]byte, generateLen)
	if _, err := rand.Read(raw); err != nil {
		return Secret{}, fmt.Errorf("generate secret: %w", err)
	}
	return New(base64.RawURLEncoding.EncodeToString(raw))
}

// New checks that rsync can carry text as a password in both of its files. No
// error holds the text.
func New(text string) (Secret, error) {
	if err := checkPassword(text); err != nil {
		return Secret{}, err
	}
	return Secret{text: &text}, nil
}

func checkPassword(text string) error {
	switch {
	case text == "":
		return errors.New("the password is empty")
	case len(text) > MaxPassword:
		return fmt.Errorf("the password has %d bytes, rsync reads %d: take a shorter one", len(text), MaxPassword)
	case strings.TrimSpace(text) != text:
		return errors.New("the password begins or ends with a blank, which rsync counts and people do not see: remove it")
	case strings.HasPrefix(text, "\ufeff"):
		return errors.New("the password begins with a byte order mark: save the file as plain UTF-8")
	}
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		return fmt.Errorf("the password holds a control character at byte %d: use printable characters", i+1)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// CheckUser checks that rsync can carry name as a user of the daemon's secrets
// file and of its "auth users" line.
func CheckUser(name string) error {
	switch {
	case name == "":
		return errors.New("the user name is empty")
	case len(name) > MaxUser:
		return fmt.Errorf("the user name has %d bytes, at most %d fit", len(name), MaxUser)
	case strings.ContainsAny(name[:1], "#@"):
		return fmt.Errorf("user name %q begins with %q, which rsync reads as a comment or a group", name, name[:1])
	case strings.ContainsAny(name, ":,*?[]/%"):
		return fmt.Errorf("user name %q holds one of : , * ? [ ] / %%, which rsync gives a meaning", name)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return isControl(r) || r == ' ' }); i >= 0 {
		return fmt.Errorf("user name %q holds a blank or control character", name)
	}
	return nil
}

// Reveal returns the password itself. It belongs into a file of mode 0600 or a
// pipe, never into an argument, a log line or an error.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether there is no password.
func (s Secret) Empty() bool { return s.text == nil }

// Equal compares in a time that depends on the lengths alone.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String returns asterisks.
func (s Secret) String() string { return redacted }

// GoString returns asterisks.
func (s Secret) GoString() string { return redacted }

// Format prints asterisks for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns asterisks.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns asterisks.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns asterisks.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
