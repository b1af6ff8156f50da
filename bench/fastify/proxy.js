// Fastify with @fastify/http-proxy: passes everything on to a port, on the port that it prints.
const fastify = require("fastify");
const proxy = require("@fastify/http-proxy");

const server = fastify({ logger: false });
server.register(proxy, { upstream: `http://127.0.0.1:${process.argv[2]}` });
server.listen({ port: 0, host: "127.0.0.1" }).then(() => console.log(server.server.address().port));
