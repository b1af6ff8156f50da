// What opossum's `fire` costs around an async no-op: prints microseconds a call with it, and of the bare await.
const CircuitBreaker = require("opossum");

const calls = Number(process.argv[2]);
const noOp = async () => {};
// Without its time-out, which would set a timer for each call: the others set none either.
const breaker = new CircuitBreaker(noOp, { timeout: false });

async function took(work) {
  const start = process.hrtime.bigint();
  for (let call = 0; call < calls; call += 1) await work();
  return Number(process.hrtime.bigint() - start) / 1000 / calls;
}

(async () => {
  const fire = () => breaker.fire();
  await took(noOp);
  await took(fire);
  console.log(JSON.stringify({ bare: await took(noOp), fired: await took(fire) }));
  breaker.shutdown();
})();
