package sersync

// plugin takes the plugin that is chosen, with its section at the top.
func (b *builder) plugin(_, chosen *element) {
	if !chosen.on() {
		return
	}
	b.say(chosen.line, Warning, chosen.says("name"), "nothing is run", "there are no plugins here")
}
