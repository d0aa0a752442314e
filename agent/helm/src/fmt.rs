//! Go's `fmt` and `strconv`: verbs, flags, and the shortest text of a number.
