// A tour of the shop with openapi-fetch and the types that openapi-typescript makes: node tour.js URL PRODUCT_ID PASSWORD.
import createClient from "openapi-fetch";
import type { paths } from "./shop.js";

declare const process: { argv: string[] };

const [url, product, password] = process.argv.slice(2) as [string, string, string];
const visitor = createClient<paths>({ baseUrl: url });

function expected<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

async function signedIn(username: string) {
  const tokens = expected(await visitor.POST("/api/v1/auth/login", { body: { username, password } }));
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${tokens.access_token}` } });
}

const seen: Record<string, unknown> = {};
const registration = { username: "ada", email: "ada@example.com", password };
seen["registered"] = expected(await visitor.POST("/api/v1/auth/register", { body: registration })).username;

const admin = await signedIn("boss");
const chair = { name: "Oak chair", description: "", price: 12900 };
seen["created"] = expected(await admin.POST("/api/v1/products", { body: chair })).name;
const again = await admin.POST("/api/v1/products", { body: chair });
if (again.error?.code === "name_taken") {
  seen["created again"] = [again.response.status, again.error.code, again.error.type];
}

const query = { page_size: 100 };
seen["listed"] = expected(await visitor.GET("/api/v1/products", { params: { query } })).map((each) => each.name).sort();
const path = { product_id: product };
const offers = expected(await visitor.GET("/api/v1/products/{product_id}/offers", { params: { path } }));
seen["offers"] = offers.map((offer) => offer.price);
const trend = expected(await visitor.GET("/api/v1/products/{product_id}/price-trend", { params: { path } }));
seen["trend"] = trend.last?.price;

const ada = await signedIn("ada");
const line = { product_id: product, quantity: 2 };
seen["cart"] = expected(await ada.POST("/api/v1/cart/items", { body: line })).total;
const params = { header: { "Idempotency-Key": "tour" } };
const order = expected(await ada.POST("/api/v1/cart/checkout", { params, body: { expected_total: 1000 } }));
seen["order"] = [order.status, order.total, order.items.map((item) => item.quantity)];
const alert = { kind: "below", product_id: product, target: 800 } as const;
seen["alert"] = expected(await ada.POST("/api/v1/alerts", { body: alert })).kind;
const hook = { url: "https://shop.example.com/hook", events: ["order.placed" as const] };
seen["webhook"] = expected(await ada.POST("/api/v1/webhooks", { body: hook })).secret.slice(0, 6);

seen["signed out"] = (await ada.POST("/api/v1/auth/logout")).response.status;
seen["afterwards"] = (await ada.GET("/api/v1/auth/me")).error?.code;
console.log(JSON.stringify(seen));
