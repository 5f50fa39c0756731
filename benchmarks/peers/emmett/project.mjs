// Keeps the view in PostgreSQL by Emmett's consumer, which polls as by default: each event in SQL of its own.
import { sql } from '@event-driven-io/dumbo';
import { postgreSQLEventStoreConsumer, postgreSQLRawSQLProjection } from '@event-driven-io/emmett-postgresql';

const TABLES = [
  `CREATE TABLE IF NOT EXISTS customers
     (customer_id uuid PRIMARY KEY, purchases bigint NOT NULL, last_purchase_at timestamptz NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS spent
     (customer_id uuid, currency text, amount numeric NOT NULL, PRIMARY KEY (customer_id, currency))`,
  `CREATE TABLE IF NOT EXISTS timeline
     (position bigint PRIMARY KEY, customer_id uuid NOT NULL, occurred_at timestamptz NOT NULL, purchase jsonb NOT NULL)`,
  'CREATE INDEX IF NOT EXISTS timeline_of_customer ON timeline (customer_id, occurred_at)',
];

const customers = postgreSQLRawSQLProjection({
  name: 'customers',
  canHandle: ['PurchaseRecorded'],
  evolve: ({ data, metadata }) => [
    sql(
      `INSERT INTO customers AS known VALUES (%L, 1, %L) ON CONFLICT (customer_id) DO UPDATE SET purchases = known.purchases + 1,
         last_purchase_at = greatest(known.last_purchase_at, excluded.last_purchase_at)`,
      data.customer_id,
      data.occurred_at,
    ),
    sql(
      `INSERT INTO spent AS known VALUES (%L, %L, %L) ON CONFLICT (customer_id, currency) DO UPDATE SET
         amount = known.amount + excluded.amount`,
      data.customer_id,
      data.total.currency,
      data.total.amount,
    ),
    sql(
      'INSERT INTO timeline VALUES (%s, %L, %L, %L)',
      metadata.globalPosition.toString(),
      data.customer_id,
      data.occurred_at,
      JSON.stringify(data),
    ),
  ],
  init: () => TABLES.map((statement) => sql(statement)),
});

const consumer = postgreSQLEventStoreConsumer({ connectionString: process.env.POSTGRES_URL });
consumer.projector({
  processorId: 'customers',
  // Of its own, the lock of a killed process would keep the next one out for five minutes.
  processorInstanceId: 'customers-1',
  projection: customers,
  startFrom: 'CURRENT',
});
await consumer.start();
