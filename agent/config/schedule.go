package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// Schedule says when something happens again: a span of time after the last
// time, or the moments of a cron expression in local time. Its zero value is
// never.
type Schedule struct {
	Every Duration
	Cron  string // five fields, one blank between them; then Every is 0
}

// Every returns the schedule of a span of time.
func Every(d Duration) Schedule { return Schedule{Every: d} }

// ParseSchedule reads what Schedule.String writes. A text of several words is a
// cron expression as crontab(5) has it: minute, hour, day of the month, month and
// day of the week; if both days are given, either will do.
func ParseSchedule(text string) (Schedule, error) {
	words := strings.Fields(text)
	if len(words) < 2 {
		d, err := ParseDuration(text)
		return Schedule{Every: d}, err
	}
	if len(words) != 5 {
		return Schedule{}, fmt.Errorf("%s has %d fields of a cron expression, not 5", quote(text), len(words))
	}
	s := Schedule{Cron: strings.Join(words, " ")}
	moments, err := s.moments()
	if err != nil {
		return Schedule{}, fmt.Errorf("%s is no cron expression: %w", quote(text), errors.New(printable(err.Error())))
	}
	if moments.Next(time.Unix(0, 0)).IsZero() {
		return Schedule{}, fmt.Errorf("%s names a day that no year has", quote(text))
	}
	return s, nil
}

func (s Schedule) moments() (cron.Schedule, error) {
	parser, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom)
	if err != nil {
		return nil, err
	}
	return parser.Parse(s.Cron)
}

// Next returns the next time after t, or the zero time for never. A time of day
// that is skipped when clocks are put forward comes an hour later.
func (s Schedule) Next(t time.Time) time.Time {
	if s.Every > 0 {
		return t.Add(s.Every.Std())
	}
	moments, err := s.moments()
	if s.Cron == "" || err != nil {
		return time.Time{}
	}
	return moments.Next(t.Round(0)) // by the clock on the wall, which may be set
}

// String returns the canonical text.
func (s Schedule) String() string {
	if s.Cron != "" {
		return s.Cron
	}
	return s.Every.String()
}

// scheduleValue is a value that is a span of time or a cron expression.
type scheduleValue struct{ p *Schedule }

func (v scheduleValue) text() string { return v.p.String() }

func (v scheduleValue) set(text string) *problem {
	s, err := ParseSchedule(text)
	if err != nil {
		return &problem{err.Error(), `write a time such as 10h, or the five fields of a cron expression in quotes, as in "30 3 * * *" for half past three every night`}
	}
	*v.p = s
	return nil
}

func schedule(name string, p *Schedule, doc string) field {
	return scalar(name, tagString, scheduleValue{p}, doc)
}
