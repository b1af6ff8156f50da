// Compiles only if the generated types know what each answer of an order brings.
import type { paths } from "./schema";

type Place = paths["/api/v1/orders"]["post"];
type Wish = Place["requestBody"]["content"]["application/json"];
type Conflict = Place["responses"]["409"]["content"]["application/problem+json"];

export const wish: Wish = {
  items: [{ productId: "P-101", quantity: 2, price: 1200 }],
  shippingAddressId: "ADDR-55",
  paymentMethod: "card",
  idempotencyKey: "uuid-client-generated-key",
};

export function whatIsThere(problem: Conflict): number[] {
  switch (problem.code) {
    case "OUT_OF_STOCK":
      return problem.items.map((item) => item.available);
    case "PRICE_CHANGED":
      return problem.items.map((item) => item.price);
    default:
      // @ts-expect-error: the others bring no items
      return problem.items;
  }
}
