package config

import (
	"slices"
	"strings"
)

// Suggest turns the names that would have been right into a hint: the nearest
// one when it is near enough, else all of them.
func Suggest(got string, known []string) string {
	const fewest, longest = 20, 64
	best, least := "", 1+max(1, min(3, len(got)/3))
	for _, name := range known {
		if len(got) > longest {
			break
		}
		if d := distance(strings.ToLower(got), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	switch {
	case best != "":
		return `did you mean "` + best + `"?`
	case len(known) == 0:
		return "there are none"
	case len(known) > fewest:
		known = append(slices.Clone(known[:fewest]), "…")
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions, changes and swaps of neighbours
// that turn a into b (optimal string alignment).
func distance(a, b string) int {
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, above, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{above, row, before}
	}
	return rows[1][len(b)]
}
