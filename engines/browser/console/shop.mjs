// The public API, as a buyer uses it.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const BUYER = { email: "demo@souk.test", password: "demo-password" };
const PRODUCT = { productId: "P-101", quantity: 1, price: 1200 };

export async function shopping(url) {
  let token = "";
  const ask = async (method, path, body) => {
    const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  };
  token = (await ask("POST", "/api/v1/auth/token", BUYER)).body.accessToken;
  const order = (paymentMethod = "card") =>
    ask("POST", "/api/v1/orders", {
      items: [PRODUCT], shippingAddressId: "ADDR-55", paymentMethod, idempotencyKey: `browser-${randomUUID()}`,
    });
  // Asks until an answer is `wanted`: whoever asks at once again waits for the answer, and not for a time.
  const until = async (path, wanted) => {
    for (;;) {
      const { status, body } = await ask("GET", path);
      const found = status === 200 && wanted(body);
      if (found) return found;
      await pause(50);
    }
  };
  return {
    ask,
    order,
    until,
    saveCard: async (cardToken) => (await ask("POST", "/api/v1/payment-methods", { cardToken })).body.id,
    ended: (id) => until(`/api/v1/orders/${id}`, (one) => one.status !== "PENDING" && one.status),
    // The order of a payment that the bank is asked for at this moment; not one of `known`.
    underCharge: (known) =>
      until("/api/v1/payments", ({ payments }) => payments.find((one) => one.status === "PENDING" && !known.has(one.orderId))?.orderId),
  };
}
