package filter

import "strings"

// set is a set of bytes.
type set [4]uint64

func (s *set) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }
func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *set) remove(b byte)   { s[b>>6] &^= 1 << (b & 63) }

func (s *set) addIf(holds func(byte) bool) {
	for b := range 256 {
		if holds(byte(b)) {
			s.add(byte(b))
		}
	}
}

// classes are the POSIX classes in the C locale.
var classes = map[string]func(byte) bool{
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"alpha":  isAlpha,
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  isLower,
	"print":  func(b byte) bool { return b == ' ' || isGraph(b) },
	"punct":  func(b byte) bool { return isGraph(b) && !isAlpha(b) && !isDigit(b) },
	"space":  func(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' },
	"upper":  isUpper,
	"xdigit": func(b byte) bool { return isDigit(b) || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F' },
}

func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }
func isLower(b byte) bool { return 'a' <= b && b <= 'z' }
func isAlpha(b byte) bool { return isUpper(b) || isLower(b) }
func isDigit(b byte) bool { return '0' <= b && b <= '9' }
func isGraph(b byte) bool { return '!' <= b && b <= '~' }

// setReader reads what stands between [ and ].
type setReader struct {
	raw string
	i   int // the next byte
	set set
	// low is what a range may begin with: the byte just added, 0 after a range
	// or a class, behind which a - is a plain byte.
	low byte
}

// readSet reads the set whose first byte is raw[i]; end is where its ] stands. A
// ] in the first place, also after ! or ^, is a member.
func readSet(raw string, i int) (s *set, end int, fault *SyntaxError) {
	r := setReader{raw: raw, i: i}
	negated := i < len(raw) && (raw[i] == '!' || raw[i] == '^')
	if negated {
		r.i++
	}
	for first := true; first || r.at(0) != ']'; first = false {
		if fault := r.member(); fault != nil {
			return nil, 0, fault
		}
	}
	if negated {
		for w := range r.set {
			r.set[w] = ^r.set[w]
		}
	}
	r.set.remove('/')
	r.set.remove(0) // no path holds it
	if r.set == (set{}) {
		return nil, 0, newFault("has a set that holds nothing rsync can match", "correct what stands in [ ]")
	}
	return &r.set, r.i, nil
}

// at returns the byte n places ahead, 0 behind the end: a pattern holds no NUL.
func (r *setReader) at(n int) byte {
	if r.i+n >= len(r.raw) {
		return 0
	}
	return r.raw[r.i+n]
}

// member reads a byte, an escaped byte, a range or a class.
func (r *setReader) member() *SyntaxError {
	switch {
	case r.at(0) == '-' && r.low != 0 && r.at(1) != 0 && r.at(1) != ']':
		r.i++
		high, fault := r.byte()
		for b := int(r.low); b <= int(high); b++ {
			r.set.add(byte(b))
		}
		r.low = 0
		return fault
	case r.at(0) == '[' && r.at(1) == ':':
		if read, fault := r.class(); read || fault != nil {
			return fault
		}
		r.i++
		r.low = '['
		r.set.add('[')
		return nil
	}
	b, fault := r.byte()
	r.low = b
	r.set.add(b)
	return fault
}

// byte reads one byte or an escaped one.
func (r *setReader) byte() (byte, *SyntaxError) {
	if r.at(0) == '\\' {
		r.i++
	}
	b := r.at(0)
	if b == 0 {
		return 0, unclosed()
	}
	r.i++
	return b, nil
}

// class reads [:name:]. Without the :] it is no class, and read is false.
func (r *setReader) class() (read bool, fault *SyntaxError) {
	rest := r.raw[r.i+2:]
	end := strings.IndexByte(rest, ']')
	if end < 0 {
		return false, unclosed()
	}
	name, ok := strings.CutSuffix(rest[:end], ":")
	if !ok {
		return false, nil
	}
	holds, ok := classes[name]
	if !ok {
		return false, newFault("has the unknown class [:"+name+":], so rsync never matches it", "write one that POSIX knows, such as [:digit:]")
	}
	r.set.addIf(holds)
	r.i += 2 + end + 1
	r.low = 0
	return true, nil
}

func unclosed() *SyntaxError {
	return newFault("has a [ that no ] closes, so rsync never matches it", `write \[ for a bracket in a file name`)
}
