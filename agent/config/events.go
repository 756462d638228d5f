package config

// What Events may hold: sersync's switches.
const (
	EventCreateFile   = "create_file" // symlinks, links and special files, too
	EventCreateFolder = "create_folder"
	EventCloseWrite   = "close_write"
	EventModify       = "modify"
	EventAttrib       = "attrib"
	EventMoveFrom     = "move_from"
	EventMoveTo       = "move_to"
	EventDelete       = "delete"
)

// EventNames are all of them.
func EventNames() []string {
	return []string{
		EventCreateFile, EventCreateFolder, EventCloseWrite, EventModify, EventAttrib, EventMoveFrom, EventMoveTo, EventDelete,
	}
}
