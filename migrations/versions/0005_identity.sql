-- How people prove who they are, invitations, and letters.

ALTER TABLE accounts ADD COLUMN user_handle bytea;
ALTER TABLE accounts ADD CONSTRAINT uq_accounts_user_handle UNIQUE (user_handle);

ALTER TABLE browser_sessions ADD COLUMN authenticated_at timestamptz DEFAULT now() NOT NULL;
ALTER TABLE browser_sessions ADD COLUMN auth_level smallint DEFAULT 1 NOT NULL;
ALTER TABLE browser_sessions ADD COLUMN auth_method text DEFAULT '' NOT NULL;

ALTER TABLE sign_in_links ADD COLUMN purpose text DEFAULT 'sign-in' NOT NULL;

CREATE TABLE totps (
    account_id uuid NOT NULL,
    sealed_seed bytea NOT NULL,
    last_step bigint NOT NULL,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    CONSTRAINT pk_totps PRIMARY KEY (account_id),
    CONSTRAINT fk_totps_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);

CREATE TABLE recovery_codes (
    account_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_recovery_codes PRIMARY KEY (account_id, code_hash),
    CONSTRAINT fk_recovery_codes_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);

CREATE TABLE passkeys (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    aaguid text NOT NULL,
    transports text[] NOT NULL,
    backed_up boolean NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    CONSTRAINT pk_passkeys PRIMARY KEY (id),
    CONSTRAINT uq_passkeys_credential_id UNIQUE (credential_id),
    CONSTRAINT fk_passkeys_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX ix_passkeys_account_id ON passkeys (account_id);

CREATE TABLE ceremonies (
    token_hash bytea NOT NULL,
    kind text NOT NULL,
    account_id uuid,
    session_id uuid,
    challenge bytea,
    password_hash text,
    tries integer NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_ceremonies PRIMARY KEY (token_hash),
    CONSTRAINT fk_ceremonies_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE,
    CONSTRAINT fk_ceremonies_session_id FOREIGN KEY(session_id) REFERENCES browser_sessions (id) ON DELETE CASCADE
);

CREATE TABLE password_requests (
    id uuid NOT NULL,
    sealed_email bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_password_requests PRIMARY KEY (id)
);

CREATE TABLE platform_mails (
    id uuid NOT NULL,
    kind text NOT NULL,
    sealed bytea,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    sent_at timestamptz,
    failed_at timestamptz,
    error text NOT NULL,
    CONSTRAINT pk_platform_mails PRIMARY KEY (id)
);
CREATE INDEX ix_platform_mails_due ON platform_mails (due_at) WHERE sent_at IS NULL AND failed_at IS NULL;

CREATE TABLE mails (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    sealed bytea,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    sent_at timestamptz,
    failed_at timestamptz,
    error text NOT NULL,
    CONSTRAINT pk_mails PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_mails_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_mails_due ON mails (due_at) WHERE sent_at IS NULL AND failed_at IS NULL;

CREATE TABLE invitations (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    email_norm text NOT NULL,
    role text NOT NULL,
    token_hash bytea NOT NULL,
    invited_by text NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_invitations PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_invitations_tenant_id_token_hash UNIQUE (tenant_id, token_hash),
    CONSTRAINT fk_invitations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_invitations_pending ON invitations (tenant_id, email_norm) WHERE accepted_at IS NULL AND revoked_at IS NULL;
