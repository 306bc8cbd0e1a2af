-- The tables of sharding_rules/, as the application sees them. Send this file through dbmesh to the logic database:
-- each statement creates every actual table on its data nodes.
--     mariadb --skip-ssl --host 127.0.0.1 --port 3307 --user root --password=root shop < migrations/0001_shop.sql

CREATE TABLE t_user (
  user_id BIGINT NOT NULL,
  name VARCHAR(64) NOT NULL,
  email VARCHAR(120) NOT NULL,
  country CHAR(2) NOT NULL,
  balance DECIMAL(12, 2) NOT NULL DEFAULT 0,
  created DATETIME NOT NULL,
  PRIMARY KEY (user_id),
  KEY k_country (country)
);

CREATE TABLE t_order (
  order_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  status VARCHAR(16) NOT NULL,
  amount DECIMAL(10, 2) NOT NULL,
  created DATETIME NOT NULL,
  PRIMARY KEY (order_id),
  KEY k_user (user_id)
);

CREATE TABLE t_order_item (
  item_id BIGINT NOT NULL,
  order_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  product VARCHAR(40) NOT NULL,
  quantity INT NOT NULL,
  price DECIMAL(10, 2) NOT NULL,
  PRIMARY KEY (item_id),
  KEY k_order (order_id)
);

CREATE TABLE t_country (
  code CHAR(2) NOT NULL,
  name VARCHAR(60) NOT NULL,
  continent VARCHAR(20) NOT NULL,
  PRIMARY KEY (code)
);

CREATE TABLE t_config (
  name VARCHAR(40) NOT NULL,
  value VARCHAR(200) NOT NULL,
  PRIMARY KEY (name)
);
