CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE bundles (
	version TEXT NOT NULL, 
	path TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	published_at DATETIME NOT NULL, 
	data_digest TEXT NOT NULL, 
	metrics JSON NOT NULL, 
	CONSTRAINT pk_bundles PRIMARY KEY (version)
);

CREATE TABLE leases (
	name TEXT NOT NULL, 
	holder TEXT, 
	token BIGINT NOT NULL, 
	taken_at DATETIME, 
	renewed_at DATETIME, 
	expires_at DATETIME, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
);

CREATE TABLE messages (
	id VARCHAR(26) NOT NULL, 
	received_at DATETIME NOT NULL, 
	client_address TEXT NOT NULL, 
	helo TEXT NOT NULL, 
	sender TEXT NOT NULL, 
	recipients JSON NOT NULL, 
	size BIGINT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	subject TEXT NOT NULL, 
	from_address TEXT NOT NULL, 
	from_domain TEXT NOT NULL, 
	message_id TEXT NOT NULL, 
	verdict TEXT, 
	spam DOUBLE, 
	threshold DOUBLE, 
	sentiment TEXT, 
	scores JSON, 
	model TEXT, 
	failure TEXT, 
	outcome TEXT NOT NULL, 
	ms DOUBLE NOT NULL, 
	text TEXT, 
	embedding BLOB, 
	CONSTRAINT pk_messages PRIMARY KEY (id)
);

CREATE INDEX ix_messages_digest ON messages (digest);

CREATE INDEX ix_messages_message_id ON messages (message_id);

CREATE INDEX ix_messages_received_at ON messages (received_at);

CREATE TABLE training_runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	due_for DATETIME, 
	"trigger" TEXT NOT NULL, 
	requested_by TEXT, 
	state TEXT NOT NULL, 
	reason TEXT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	trainer TEXT, 
	token BIGINT, 
	stage TEXT, 
	attempts INTEGER NOT NULL, 
	trained_from TEXT, 
	candidate TEXT, 
	data_digest TEXT, 
	figures JSON, 
	CONSTRAINT uq_training_runs_due_for UNIQUE (due_for)
);

CREATE INDEX ix_training_runs_state ON training_runs (state);

CREATE TABLE champions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	version TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	"by" TEXT NOT NULL, 
	why TEXT NOT NULL, 
	takes_back INTEGER, 
	CONSTRAINT fk_champions_takes_back FOREIGN KEY(takes_back) REFERENCES champions (id), 
	CONSTRAINT fk_champions_version FOREIGN KEY(version) REFERENCES bundles (version)
);

CREATE TABLE labels (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	message_id VARCHAR(26) NOT NULL, 
	task TEXT NOT NULL, 
	label TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	source TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	replaces INTEGER, 
	undoes INTEGER, 
	CONSTRAINT fk_labels_message_id FOREIGN KEY(message_id) REFERENCES messages (id), 
	CONSTRAINT fk_labels_replaces FOREIGN KEY(replaces) REFERENCES labels (id), 
	CONSTRAINT fk_labels_undoes FOREIGN KEY(undoes) REFERENCES labels (id), 
	CONSTRAINT uq_labels_undoes UNIQUE (undoes)
);

CREATE INDEX ix_labels_message_id_task ON labels (message_id, task);

INSERT INTO alembic_version (version_num) VALUES ('0001') RETURNING version_num;
