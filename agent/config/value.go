package config

import (
	"fmt"
	"strconv"
)

// value is a scalar of the configuration, bound to where it is kept.
type value interface {
	set(text string) *problem // strict; changes nothing when it fails
	text() string             // canonical
}

// bound is a value made of two functions.
type bound struct {
	get func() string
	put func(string) *problem
}

func (b bound) text() string             { return b.get() }
func (b bound) set(text string) *problem { return b.put(text) }

func stringValue(p *string, c check) value {
	return bound{
		get: func() string { return *p },
		put: func(text string) *problem {
			text, bad := c(text)
			if bad == nil {
				*p = text
			}
			return bad
		},
	}
}

func intValue(p *int, least, most int) value {
	return bound{
		get: func() string { return strconv.Itoa(*p) },
		put: func(text string) *problem {
			n, err := strconv.Atoi(text)
			hint := fmt.Sprintf("write one from %d to %d", least, most)
			switch {
			case err != nil:
				return &problem{quote(text) + " is not a whole number", hint}
			case n < least || n > most:
				return &problem{text + " is out of range", hint}
			}
			*p = n
			return nil
		},
	}
}

func boolValue(p *bool) value {
	return bound{
		get: func() string { return strconv.FormatBool(*p) },
		put: func(text string) *problem {
			switch {
			case isOn(text):
				*p = true
			case isOff(text):
				*p = false
			default:
				return &problem{quote(text) + " is neither true nor false", "write true or false"}
			}
			return nil
		},
	}
}

func durationValue(p *Duration) value {
	return bound{
		get: func() string { return p.String() },
		put: func(text string) *problem {
			d, err := ParseDuration(text)
			if err != nil {
				return &problem{err.Error(), "write a number and ms, s, m, h or d, as in 2ms or 30d"}
			}
			*p = d
			return nil
		},
	}
}

func sizeValue(p *Size) value {
	return bound{
		get: func() string { return p.String() },
		put: func(text string) *problem {
			s, err := ParseSize(text)
			if err != nil {
				return &problem{err.Error(), "write a number and K, M, G or T, as in 64M"}
			}
			*p = s
			return nil
		},
	}
}

// authValue is the scalar form of auth: off, or on for the keys beside it.
func authValue(a *Auth) value {
	return bound{
		get: func() string {
			if a.Off {
				return "off"
			}
			return "on"
		},
		put: func(text string) *problem {
			if !isOn(text) && !isOff(text) {
				return &problem{"this is no way to log in", // it may be a password: not repeated
					"write off, or {user: repl, password_file: /etc/syncagent/rsync.pass}"}
			}
			a.Off = isOff(text)
			return nil
		},
	}
}

// guardValue is the scalar form of delete_guard: off, or on for the numbers
// beside it, which off forgets.
func guardValue(g *Guard) value {
	return bound{
		get: func() string {
			if g.Off {
				return "off"
			}
			return "on"
		},
		put: func(text string) *problem {
			if !isOn(text) && !isOff(text) {
				return &problem{quote(text) + " is no delete guard", "write off, or {percent: 30, min: 50, files: 0}"}
			}
			if g.Off = isOff(text); g.Off {
				*g = defaultGuard()
				g.Off = true
			}
			return nil
		},
	}
}

// guardNumber is one limit of delete_guard; to set one is to have a guard.
func guardNumber(g *Guard, p *int, most int) value {
	number := intValue(p, 0, most)
	return bound{
		get: number.text,
		put: func(text string) *problem {
			bad := number.set(text)
			if bad == nil {
				g.Off = false
			}
			return bad
		},
	}
}
