// A plain server: reads a request and answers with one order, on the port that it prints.
const http = require("node:http");

const answer = Buffer.from(process.argv[2]);
const headers = { "content-type": "application/json", "content-length": answer.length };

const server = http.createServer((request, response) => {
  request.resume();
  request.on("end", () => {
    response.writeHead(201, headers);
    response.end(answer);
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
