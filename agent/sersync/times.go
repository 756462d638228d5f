package sersync

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"syncagent/agent/config"
	"syncagent/agent/filter"
)

// times takes schedules: failLog and crontab.
func (b *builder) times(head, s *element, spec *config.ModuleSpec) {
	b.failures(s.first("failLog"), spec)
	c := s.first("crontab")
	if !c.on() {
		spec.Overrides["sweep.every"], spec.Overrides["sweep.checksum_every"] = "off", "off"
		b.say(c.at(), Unneeded, "<crontab start=\"false\">", "sweep.every: off, sweep.checksum_every: off", "as before; 10h and 30d, the defaults, repair what was changed on a slave")
		return
	}
	minutes, err := strconv.Atoi(c.attr("schedule"))
	if err != nil || minutes <= 0 {
		b.say(c.line, Changed, c.says("schedule"), "sweep.every: 10h", "that is no number of minutes, for which sersync takes 600")
		minutes = 600
	}
	spec.Overrides["sweep.every"], spec.Overrides["sweep.checksum_every"] = strconv.Itoa(minutes)+"m", "off"
	if head.first("filter").on() && !c.first("crontabfilter").on() {
		b.say(c.line, Changed, c.says("start"), "sweep.every: "+spec.Overrides["sweep.every"], "with a filter, and without crontabfilter, it was switched off; what the filter leaves out is spared by sweeps")
	}
	b.crontabFilter(c.first("crontabfilter"), spec)
}

// crontabFilter takes what was appended to the command of the schedule, each as an
// --exclude of its own.
func (b *builder) crontabFilter(f *element, spec *config.ModuleSpec) {
	if !f.on() {
		return
	}
	for _, x := range f.all("exclude") {
		text := x.attr("expression")
		if text == "" {
			b.say(x.line, Warning, x.says("expression"), "nothing", "it is empty")
			continue
		}
		if text == "!" { // which empties the list
			b.say(x.line, Changed, x.says("expression"), "nothing, and the patterns before it are left out", "rsync took it for the end of those")
			spec.SweepFilter = nil
			continue
		}
		rule := "- " + text
		if strings.HasPrefix(text, "+ ") || strings.HasPrefix(text, "- ") { // rsync reads these as rules
			rule = text
		}
		if _, err := filter.Compile([]string{rule}); err != nil {
			b.badPattern(x, text, err)
			continue
		}
		spec.SweepFilter = append(spec.SweepFilter, rule)
		b.say(x.line, Changed, x.says("expression"), fmt.Sprintf("sweep: {filter: [%q]}", rule), "-r left it out, too; here a start compares everything, and so does a sweep after changes were missed")
	}
}

// badPattern leaves a pattern out that rsync cannot match either: it never spared
// anything, so that without it nothing more is sent or deleted. One that rsync
// matches and a rule of ours cannot say is no such case.
func (b *builder) badPattern(x *element, text string, err error) {
	if strings.ContainsAny(text, "\n\x00") || strings.TrimSpace(text) == "" {
		b.badExpression(x.line, err)
		return
	}
	problem := err.Error()
	var bad *filter.SyntaxError
	if errors.As(err, &bad) {
		problem = "it " + bad.Problem + ": " + bad.Hint
	}
	b.say(x.line, Warning, x.says("expression"), "left out, as it left nothing out before", problem)
}

// failures takes failLog: the interval, not the script.
func (b *builder) failures(f *element, spec *config.ModuleSpec) {
	const key = "failures.retry_every"
	if f == nil {
		return
	}
	becomes := "each failing path is tried again after pauses of its own"
	minutes, err := strconv.Atoi(f.attr("timeToExecute"))
	if err == nil && minutes > 0 && knows(key) {
		spec.Overrides[key] = strconv.Itoa(minutes) + "m"
		becomes = key + ": " + spec.Overrides[key]
	}
	b.say(f.line, Changed, f.says("path"), becomes+"; agent status --failing lists them",
		"the script could be written by every user of the host and ran as root; it held old commands, and was emptied whatever came of them")
}

// knows reports whether a module may set a key.
func knows(key string) bool {
	return slices.ContainsFunc(config.Keys(config.RoleMaster), func(k config.Key) bool { return k.Name == key })
}
