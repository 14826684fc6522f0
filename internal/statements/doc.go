// Package statements has the list of every SQL statement that Holdfast sends, and its tests explain each on generated data that is
// large enough for Postgres to choose, so that a statement without an index fails the suite and not the shop that has grown.
//
// The list is checked in, a file for each package that sends. `make statements` makes it: the tests run, and every connection that
// the product opens tells what goes over it. What is sent and not listed fails the test run that sends it; what the source has and
// the list has not fails TestSourceIsListed; what is listed and was not sent fails a run of all tests.
package statements
