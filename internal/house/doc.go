// Package house holds the rules of the building: its test reads every import and refuses those that are not in the table.
package house
