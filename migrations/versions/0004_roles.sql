-- Roles of a tenant's own, groups, service accounts, and who holds which role where.

CREATE TABLE roles (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    permissions text[] NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pk_roles PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_roles_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_roles_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE groups (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_groups PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_groups_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_groups_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE group_members (
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    user_id uuid NOT NULL,
    added_at timestamptz NOT NULL,
    CONSTRAINT pk_group_members PRIMARY KEY (tenant_id, group_id, user_id),
    CONSTRAINT fk_group_members_tenant_id_group_id FOREIGN KEY(tenant_id, group_id) REFERENCES groups (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_group_members_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_group_members_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_group_members_tenant_id_user_id ON group_members (tenant_id, user_id);

CREATE TABLE service_accounts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    status text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_service_accounts PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_service_accounts_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_service_accounts_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);

CREATE TABLE role_assignments (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid,
    group_id uuid,
    service_account_id uuid,
    built_in text,
    role_id uuid,
    project_id uuid,
    labels jsonb DEFAULT '{}' NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_role_assignments PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_role_assignments_one_holder CHECK (num_nonnulls(user_id, group_id, service_account_id) = 1),
    CONSTRAINT ck_role_assignments_one_role CHECK (num_nonnulls(built_in, role_id) = 1),
    CONSTRAINT uq_role_assignments_same UNIQUE NULLS NOT DISTINCT (tenant_id, user_id, group_id, service_account_id, built_in, role_id, project_id, labels),
    CONSTRAINT fk_role_assignments_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_role_assignments_tenant_id_group_id FOREIGN KEY(tenant_id, group_id) REFERENCES groups (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_role_assignments_tenant_id_service_account_id FOREIGN KEY(tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_role_assignments_tenant_id_role_id FOREIGN KEY(tenant_id, role_id) REFERENCES roles (tenant_id, id),
    CONSTRAINT fk_role_assignments_tenant_id_project_id FOREIGN KEY(tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_role_assignments_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (tenant_id) ON DELETE CASCADE
);
CREATE INDEX ix_role_assignments_tenant_id_group_id ON role_assignments (tenant_id, group_id);
CREATE INDEX ix_role_assignments_tenant_id_service_account_id ON role_assignments (tenant_id, service_account_id);
CREATE INDEX ix_role_assignments_tenant_id_role_id ON role_assignments (tenant_id, role_id);
CREATE INDEX ix_role_assignments_owners ON role_assignments (tenant_id) WHERE built_in = 'owner';

ALTER TABLE projects ADD COLUMN archived_at timestamptz;

-- what a person held until now becomes an assignment
INSERT INTO role_assignments (tenant_id, id, user_id, built_in, created_by, created_at)
    SELECT tenant_id, gen_random_uuid(), id, role, 'migration', created_at FROM users;
ALTER TABLE users DROP COLUMN role;
ALTER TABLE users ALTER COLUMN email_norm TYPE text COLLATE "C";
ALTER TABLE users ADD COLUMN name_norm text COLLATE "C" GENERATED ALWAYS AS (lower(name)) STORED NOT NULL;
CREATE INDEX ix_users_tenant_id_name_norm ON users (tenant_id, name_norm);

-- what a key held becomes a service account of its own; where the owner of the schema does not see the rows
-- behind their policies, the last constraint says so
ALTER TABLE api_keys ADD COLUMN user_id uuid, ADD COLUMN service_account_id uuid, ADD COLUMN scopes text[],
    ADD COLUMN networks text[] DEFAULT '{}' NOT NULL, ADD COLUMN rotated_from uuid, ADD COLUMN last_used_from text;
INSERT INTO service_accounts (tenant_id, id, name, description, status, created_by, created_at)
    SELECT tenant_id, id, name || ' ' || hint || ' ' || id, '', 'active', 'migration', created_at FROM api_keys;
INSERT INTO role_assignments (tenant_id, id, service_account_id, built_in, created_by, created_at)
    SELECT tenant_id, gen_random_uuid(), id, role, 'migration', created_at FROM api_keys;
UPDATE api_keys SET service_account_id = id;
ALTER TABLE api_keys DROP COLUMN role;
ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_one_owner CHECK (num_nonnulls(user_id, service_account_id) = 1),
    ADD CONSTRAINT fk_api_keys_tenant_id_user_id FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_api_keys_tenant_id_service_account_id FOREIGN KEY(tenant_id, service_account_id) REFERENCES service_accounts (tenant_id, id) ON DELETE CASCADE;
CREATE INDEX ix_api_keys_tenant_id_user_id ON api_keys (tenant_id, user_id);
CREATE INDEX ix_api_keys_tenant_id_service_account_id ON api_keys (tenant_id, service_account_id)
