package web

// This file is what swag reads for the general part of the API document; a handler's part stands above the handler.

//	@title			Holdfast
//	@version		1
//	@description	A checkout engine: carts that hold stock, orders that end, and every unit and penny accounted for.
//	@description	Money is in minor units with an ISO 4217 code, ids are UUIDs, times RFC 3339 in UTC.
//	@description	Lists are pages: ?limit=&cursor= answer items and next_cursor, which is missing on the last page.
//	@description	Every refusal is application/problem+json (RFC 9457); its type is one of /problems.
//	@license.name	Apache-2.0
//	@license.url	https://www.apache.org/licenses/LICENSE-2.0
//	@BasePath		/
//	@accept			json
//	@produce		json
//	@tag.name		catalogue
//	@tag.description	What can be bought; no token needed.
//	@tag.name		cart
//	@tag.description	The customer's cart. Its lines hold units.
//	@tag.name		orders
//	@tag.description	The customer's orders.
//	@tag.name		admin
//	@tag.description	For operators: a token whose scope contains admin.
//	@tag.name		probes
//	@tag.description	For whoever runs the server.
//	@tag.name		documents
//	@tag.description	The API about itself.

//	@securityDefinitions.apikey	Bearer
//	@in							header
//	@name						Authorization
//	@description				Bearer <JWT>, as `holdfast token --sub ID [--admin]` prints it.
