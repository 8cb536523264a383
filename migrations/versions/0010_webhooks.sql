-- Events and webhooks. History: this file does not change any more once it is released.

CREATE TABLE events (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT pk_events PRIMARY KEY (tenant_id, seq),
    CONSTRAINT uq_events_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_events_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_events_tenant_id_occurred_at ON events (tenant_id, occurred_at);

CREATE TABLE event_heads (
    tenant_id uuid NOT NULL,
    seq bigint NOT NULL,
    pruned bigint NOT NULL,
    CONSTRAINT pk_event_heads PRIMARY KEY (tenant_id),
    CONSTRAINT fk_event_heads_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE event_consumers (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    types text[] NOT NULL,
    acknowledged bigint NOT NULL,
    acknowledged_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_event_consumers PRIMARY KEY (tenant_id, name),
    CONSTRAINT fk_event_consumers_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE webhooks (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    types text[] NOT NULL,
    state text NOT NULL,
    state_reason text NOT NULL,
    from_seq bigint NOT NULL,
    failing_since timestamptz,
    secret bytea NOT NULL,
    secret_version integer NOT NULL,
    old_secret bytea,
    old_secret_until timestamptz,
    version integer NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_webhooks_state CHECK (state IN ('enabled', 'disabled')),
    CONSTRAINT fk_webhooks_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE webhook_progress (
    tenant_id uuid NOT NULL,
    through bigint NOT NULL,
    CONSTRAINT pk_webhook_progress PRIMARY KEY (tenant_id),
    CONSTRAINT fk_webhook_progress_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE webhook_deliveries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_seq bigint,
    type text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    next_at timestamptz,
    tries jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_webhook_deliveries_next_at CHECK ((state = 'pending') = (next_at IS NOT NULL)),
    CONSTRAINT fk_webhook_deliveries_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    CONSTRAINT fk_webhook_deliveries_tenant_id_webhook_id FOREIGN KEY(tenant_id, webhook_id)
        REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_deliveries_tenant_id_webhook_id_id ON webhook_deliveries (tenant_id, webhook_id, id);
CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (next_at) WHERE state = 'pending'
