package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	for text, want := range map[string]string{
		"10h": "10h", "off": "0s", "1h30m": "1h30m", "30d": "30d",
		"30 3 * * *": "30 3 * * *", " 0\t*/2  * * 1-5 ": "0 */2 * * 1-5", "0 4 1 jan,JUL sun": "0 4 1 jan,JUL sun",
		"often": "! not a span", "30 3 * *": "! has 4 fields", "0 30 3 * * *": "! has 6 fields", "@daily": "! not a span", "@every 1h": "! has 2 fields",
		"61 * * * *": "! no cron expression: ", "a b c d e": "! no cron expression: ", "*/0 * * * *": "! no cron expression: ",
		"TZ=UTC 1 2 3 4 5": "! has 6 fields", "TZ=UTC * * * *": "! no cron expression: ", "0 0 30 2 *": "! no year has",
	} {
		s, err := ParseSchedule(text)
		problem, bad := strings.CutPrefix(want, "! ")
		switch {
		case bad && (err == nil || !strings.Contains(err.Error(), problem)):
			t.Errorf("%q: %v, %v; want %q", text, s, err, problem)
		case !bad && (err != nil || s.String() != want):
			t.Errorf("%q: %v, %v; want %q", text, s, err, want)
		}
		if again, err := ParseSchedule(s.String()); err != nil || again != s {
			t.Errorf("%q: read again as %+v, %v; want %+v", text, again, err, s)
		}
	}
}

// TestScheduleNext: both days given mean either, as crontab has it; a time that is
// skipped in spring is not left out.
func TestScheduleNext(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		m, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct{ schedule, after, want string }{
		{"90m", "2026-03-01 12:00", "2026-03-01 13:30"},
		{"30 3 * * *", "2026-03-01 03:29", "2026-03-01 03:30"},
		{"30 3 * * *", "2026-03-01 03:30", "2026-03-02 03:30"},
		{"0 3 13 * 5", "2026-03-01 00:00", "2026-03-06 03:00"},
		{"0 0 29 2 *", "2026-03-01 00:00", "2028-02-29 00:00"},
		{"0 1 * * 7", "2026-03-03 00:00", "2026-03-08 01:00"},
		{"30 2 * * *", "2026-03-28 03:00", "2026-03-29 03:30"},
	} {
		s, err := ParseSchedule(c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Next(at(c.after)); !got.Equal(at(c.want)) {
			t.Errorf("%s after %s: %v, want %s", c.schedule, c.after, got, c.want)
		}
	}
	if never := (Schedule{}); !never.Next(time.Now()).IsZero() {
		t.Error("the zero schedule comes some time")
	}
}
