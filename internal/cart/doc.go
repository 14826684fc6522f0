// Package cart owns what customers mean to buy: schema cart (carts, lines) and the key cart:{c}, a copy of each open cart in
// Redis. Units are held on inventory's shelf from the moment in which a line is put into a cart; the rows here say which
// holds there ought to be, the shelf says which there are. It says and hears no facts: order calls Checkout before its
// transaction and Take inside it.
//
// Rows and shelf cannot be written at once, so each write goes like this: read the cart, put units on the shelf, then write
// the rows guarded by the turn that was read, then take units off the shelf. Whoever finds the turn gone has lost a race
// and does it all again from the rows as they are now, the other's products included; so the last one to write the rows is
// also the last one to have written the shelf.
package cart
