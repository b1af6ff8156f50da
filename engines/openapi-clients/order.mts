// Logs in, places an order twice with one key, and asks for too many; every path, body and answer is typed.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[] };

const souk = createClient<paths>({ baseUrl: process.argv[2] });
const login = await souk.POST("/api/v1/auth/token", {
  body: { email: "demo@souk.test", password: "demo-password" },
});
if (!login.data) throw new Error(login.error.code);
const headers = { Authorization: `Bearer ${login.data.accessToken}` };

const product = await souk.GET("/api/v1/products/{id}", { params: { path: { id: "P-101" } } });
if (!product.data) throw new Error(product.error.code);
const price: number = product.data.price;

const place = (quantity: number, idempotencyKey: string) =>
  souk.POST("/api/v1/orders", {
    headers,
    body: {
      items: [{ productId: "P-101", quantity, price }],
      shippingAddressId: "ADDR-55",
      paymentMethod: "card",
      idempotencyKey,
    },
  });

const first = await place(1, "typed");
const again = await place(1, "typed");
if (!first.data || !again.data) throw new Error("no order");
const beyond = await place(1000, "beyond");
// @ts-expect-error: there is no such path
const wrong = () => souk.GET("/api/v1/nothing");

console.log(
  JSON.stringify({
    status: first.data.status,
    same: first.data.id === again.data.id,
    replayed: again.response.headers.get("idempotent-replayed"),
    available: beyond.error?.code === "OUT_OF_STOCK" && "items" in beyond.error ? beyond.error.items.length : -1,
  }),
);
