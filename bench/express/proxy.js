// Express with http-proxy-middleware: passes everything on to a port, on the port that it prints.
const http = require("node:http");
const express = require("express");
const { createProxyMiddleware } = require("http-proxy-middleware");

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const app = express();
app.disable("x-powered-by");
app.use(createProxyMiddleware({ target: `http://127.0.0.1:${process.argv[2]}`, agent }));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
server.keepAliveTimeout = 60000;
