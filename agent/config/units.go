package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time in nanoseconds, written as numbers with units:
// ns, us, ms, s, m, h, d (24 h) or w (7 d), as in 2ms, 1h30m, 30d; "off" and
// "0" are zero.
type Duration time.Duration

// The units a Duration is written in.
const (
	Millisecond = Duration(time.Millisecond)
	Second      = Duration(time.Second)
	Minute      = Duration(time.Minute)
	Hour        = Duration(time.Hour)
	Day         = 24 * Hour
	Week        = 7 * Day
)

// maxDuration is as good as never and leaves room for sums.
const maxDuration = 3650 * Day

// Size is a number of bytes, written as a number and K, M, G or T, each 1024
// times the one before.
type Size int64

// The units a Size is written in.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// unit is one name and its worth, the largest first in each table.
type unit struct {
	name string
	size int64
}

func durationUnits() []unit {
	return []unit{
		{"w", int64(Week)},
		{"d", int64(Day)},
		{"h", int64(Hour)},
		{"m", int64(Minute)},
		{"s", int64(Second)},
		{"ms", int64(Millisecond)},
		{"us", int64(time.Microsecond)},
		{"ns", 1},
	}
}

func sizeUnits() []unit {
	return []unit{{"T", int64(TiB)}, {"G", int64(GiB)}, {"M", int64(MiB)}, {"K", int64(KiB)}}
}

// ParseDuration reads what Duration.String writes, and fractions.
func ParseDuration(text string) (Duration, error) {
	if text == "0" || isOff(text) {
		return 0, nil
	}
	var sum float64
	for rest := text; ; {
		number, name, tail := splitUnit(rest)
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, fmt.Errorf("%s is not a span of time", quote(text))
		}
		size := unitSize(durationUnits(), name)
		if size == 0 {
			return 0, fmt.Errorf("%s has no known unit", quote(text))
		}
		if sum += value * float64(size); sum > float64(maxDuration) {
			return 0, fmt.Errorf("%s is more than %s", quote(text), maxDuration)
		}
		if rest = tail; rest == "" {
			return Duration(math.Round(sum)), nil
		}
	}
}

// splitUnit cuts the number and the letters off the front of text.
func splitUnit(text string) (number, name, tail string) {
	i := 0
	for i < len(text) && (text[i] == '.' || '0' <= text[i] && text[i] <= '9') {
		i++
	}
	j := i
	for j < len(text) && 'a' <= text[j] && text[j] <= 'z' {
		j++
	}
	return text[:i], text[i:j], text[j:]
}

func unitSize(units []unit, name string) int64 {
	for _, u := range units {
		if u.name == name {
			return u.size
		}
	}
	return 0
}

// String returns the canonical text, exact to the nanosecond.
func (d Duration) String() string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	rest := int64(d)
	for _, u := range durationUnits()[1:] {
		if n := rest / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			rest %= u.size
		}
	}
	return b.String()
}

// Std returns d for package time.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// ParseSize reads what Size.String writes.
func ParseSize(text string) (Size, error) {
	if isOff(text) {
		return 0, nil
	}
	digits, factor := text, int64(1)
	for _, u := range sizeUnits() {
		if rest, ok := strings.CutSuffix(strings.ToUpper(text), u.name); ok {
			digits, factor = rest, u.size
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is not a size", quote(text))
	}
	if int64(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("%s is too large", quote(text))
	}
	return Size(int64(n) * factor), nil
}

// String returns the canonical text, with the largest unit that divides s.
func (s Size) String() string {
	for _, u := range sizeUnits() {
		if s > 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
