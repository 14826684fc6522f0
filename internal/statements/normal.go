package statements

import (
	"regexp"
	"strings"
)

var comment = regexp.MustCompile(`--[^\n]*`)

// Normal gives a statement without comments and with one space where it has any: what is the same then is the same statement. All
// partitions of a table are one.
func Normal(sql string) string {
	text := strings.Join(strings.Fields(OfAnyPartition(comment.ReplaceAllString(sql, ""))), " ")
	return strings.TrimRight(within.Replace(text), "; ")
}

// within takes away the space within brackets, so that what stands in them is found whether or not it begins a line.
var within = strings.NewReplacer("( ", "(", " )", ")")

var partition = regexp.MustCompile(`\bshared\.(outbox|inbox)_[0-9]{8}(_[0-9]{2})?\b`)

// OfAnyPartition names the partition that a statement is about as outbox_partition, whichever it is.
func OfAnyPartition(sql string) string {
	return partition.ReplaceAllString(sql, "shared.${1}_partition")
}

var planned = regexp.MustCompile(`^(SELECT|INSERT INTO|UPDATE \S+|DELETE FROM|MERGE INTO|WITH (RECURSIVE )?[a-z_]+[ (])`)

// IsPlanned reports whether a text is a statement for which Postgres makes a plan. What sets, locks, listens and makes has none.
func IsPlanned(sql string) bool { return planned.MatchString(Normal(sql)) }
