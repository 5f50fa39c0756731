// Takes purchases: a stream per purchase, appended before the answer. `node api.mjs <port>`.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';

const store = getPostgreSQLEventStore(process.env.POSTGRES_URL);
await store.schema.migrate();

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const AMOUNT = /^-?[0-9]{1,18}(\.[0-9]{1,6})?$/;
const text = (value) => typeof value === 'string' && value.length >= 1 && value.length <= 200;
const money = (value) => value && AMOUNT.test(value.amount) && /^[A-Z]{3}$/.test(value.currency);
const line = (value) =>
  text(value.sku) && Number.isInteger(value.quantity) && value.quantity >= 1 && (!value.unit_price || money(value.unit_price));

const isPurchase = (body) =>
  UUID.test(body.customer_id) && text(body.system) && text(body.order_id) && !Number.isNaN(Date.parse(body.occurred_at)) &&
  money(body.total) && (body.lines ?? []).every(line);

const answer = (response, status, body) => {
  const payload = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) });
  response.end(payload);
};

const recordPurchase = async (body, response) => {
  if (!isPurchase(body)) return answer(response, 422, { detail: 'not a purchase' });
  const purchaseId = randomUUID();
  const { lastEventGlobalPosition } = await store.appendToStream(`purchase-${purchaseId}`, [
    { type: 'PurchaseRecorded', data: body },
  ]);
  answer(response, 201, {
    purchase_id: purchaseId,
    customer_id: body.customer_id,
    position: Number(lastEventGlobalPosition),
  });
};

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (request.method !== 'POST' || request.url !== '/v1/purchases') return answer(response, 404, {});
    Promise.resolve()
      .then(() => recordPurchase(JSON.parse(Buffer.concat(chunks).toString()), response))
      .catch((error) => answer(response, 500, { detail: String(error) }));
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
