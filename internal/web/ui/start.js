// Shows the document of this server. validatorUrl is null because the default one asks a server outside.
window.ui = SwaggerUIBundle({
  url: "/api/swagger.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  displayRequestDuration: true,
  tagsSorter: "alpha",
  presets: [SwaggerUIBundle.presets.apis],
});
