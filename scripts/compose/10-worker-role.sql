-- The worker's role: it reads orders and sets two columns, nothing else.
\getenv password FULFILLMENT_WORKER_PASSWORD
CREATE ROLE fulfillment_worker LOGIN PASSWORD :'password';
GRANT SELECT, UPDATE (status, updated_at) ON orders TO fulfillment_worker;
