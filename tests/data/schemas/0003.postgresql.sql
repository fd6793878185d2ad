CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE bundles (
	version TEXT NOT NULL, 
	path TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	published_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	data_digest TEXT NOT NULL, 
	metrics JSON NOT NULL, 
	CONSTRAINT pk_bundles PRIMARY KEY (version)
);

COMMENT ON COLUMN bundles.version IS 'as in bundle.json';

COMMENT ON COLUMN bundles.path IS 'its folder when it was published';

COMMENT ON COLUMN bundles.created_at IS 'when it was trained';

COMMENT ON COLUMN bundles.published_at IS 'when it was complete on disk';

COMMENT ON COLUMN bundles.data_digest IS 'SHA-256 over the training set''s list';

COMMENT ON COLUMN bundles.metrics IS 'before and after quantization';

CREATE TABLE leases (
	name TEXT NOT NULL, 
	holder TEXT, 
	token BIGINT NOT NULL, 
	taken_at TIMESTAMP WITH TIME ZONE, 
	renewed_at TIMESTAMP WITH TIME ZONE, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_leases PRIMARY KEY (name)
);

COMMENT ON COLUMN leases.name IS 'what is leased, e.g. trainer';

COMMENT ON COLUMN leases.holder IS 'host and process; NULL when given back';

COMMENT ON COLUMN leases.token IS 'grows each time it is taken';

COMMENT ON COLUMN leases.renewed_at IS 'last sign of life of the holder';

COMMENT ON COLUMN leases.expires_at IS 'free for anyone after this';

CREATE TABLE messages (
	id VARCHAR(26) NOT NULL, 
	received_at TIMESTAMP WITH TIME ZONE NOT NULL, 
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
	spam DOUBLE PRECISION, 
	threshold DOUBLE PRECISION, 
	sentiment TEXT, 
	scores JSON, 
	model TEXT, 
	failure TEXT, 
	outcome TEXT NOT NULL, 
	ms DOUBLE PRECISION NOT NULL, 
	text TEXT, 
	embedding BYTEA, 
	CONSTRAINT pk_messages PRIMARY KEY (id)
);

COMMENT ON COLUMN messages.id IS 'ULID; the X-Filterd-Id that headers, Slack, the CLI and the log use';

COMMENT ON COLUMN messages.received_at IS 'end of data, UTC';

COMMENT ON COLUMN messages.client_address IS 'address of the sending host: XFORWARD''s if a trusted peer gave one';

COMMENT ON COLUMN messages.helo IS 'what the client called itself';

COMMENT ON COLUMN messages.sender IS 'envelope sender; empty for bounces';

COMMENT ON COLUMN messages.recipients IS 'envelope recipients that were accepted';

COMMENT ON COLUMN messages.size IS 'bytes as received';

COMMENT ON COLUMN messages.digest IS 'SHA-256 of the body in hex, for finding exact copies';

COMMENT ON COLUMN messages.subject IS 'decoded';

COMMENT ON COLUMN messages.from_address IS 'address of the From header';

COMMENT ON COLUMN messages.from_domain IS 'its domain';

COMMENT ON COLUMN messages.message_id IS 'Message-ID header, forgeable; not our id';

COMMENT ON COLUMN messages.verdict IS 'spam or ham; NULL if unjudged';

COMMENT ON COLUMN messages.spam IS 'probability of spam, 0..1';

COMMENT ON COLUMN messages.threshold IS 'spam from here on, at that time';

COMMENT ON COLUMN messages.sentiment IS 'its most probable label';

COMMENT ON COLUMN messages.scores IS 'task -> label -> calibrated probability';

COMMENT ON COLUMN messages.model IS 'version of the bundle that judged it';

COMMENT ON COLUMN messages.failure IS 'why it is unjudged, in a word';

COMMENT ON COLUMN messages.outcome IS 'what the next hop, or we, answered: code + text';

COMMENT ON COLUMN messages.ms IS 'wall time of judging, milliseconds';

COMMENT ON COLUMN messages.text IS 'model input; NULL by store_text or after its retention';

COMMENT ON COLUMN messages.embedding IS 'pooled embedding, little-endian float16; kept and removed with text';

CREATE INDEX ix_messages_digest ON messages (digest);

CREATE INDEX ix_messages_message_id ON messages (message_id);

CREATE INDEX ix_messages_received_at ON messages (received_at);

CREATE TABLE training_runs (
	id SERIAL NOT NULL, 
	due_for TIMESTAMP WITH TIME ZONE, 
	trigger TEXT NOT NULL, 
	requested_by TEXT, 
	state TEXT NOT NULL, 
	reason TEXT, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	trainer TEXT, 
	token BIGINT, 
	stage TEXT, 
	attempts INTEGER NOT NULL, 
	trained_from TEXT, 
	candidate TEXT, 
	data_digest TEXT, 
	figures JSON, 
	CONSTRAINT pk_training_runs PRIMARY KEY (id), 
	CONSTRAINT uq_training_runs_due_for UNIQUE (due_for)
);

COMMENT ON COLUMN training_runs.due_for IS 'the scheduled moment it answers, UTC, so that each night runs once; NULL if asked for by hand';

COMMENT ON COLUMN training_runs.trigger IS 'schedule, labels, cli or slack';

COMMENT ON COLUMN training_runs.requested_by IS 'the person, if one asked';

COMMENT ON COLUMN training_runs.state IS 'waiting, running, shadow, promoted, refused, skipped or failed';

COMMENT ON COLUMN training_runs.reason IS 'why refused, skipped or failed; a line';

COMMENT ON COLUMN training_runs.trainer IS 'host and process that took it';

COMMENT ON COLUMN training_runs.token IS 'fencing token of its lease; a run with an older one may not publish';

COMMENT ON COLUMN training_runs.stage IS 'last step completed, to resume after it';

COMMENT ON COLUMN training_runs.attempts IS 'how often it was started';

COMMENT ON COLUMN training_runs.trained_from IS 'champion whose weights it began with';

COMMENT ON COLUMN training_runs.candidate IS 'version of the bundle it made';

COMMENT ON COLUMN training_runs.data_digest IS 'of the training set';

COMMENT ON COLUMN training_runs.figures IS 'of each gate rule, and seconds of each stage';

CREATE INDEX ix_training_runs_state ON training_runs (state);

CREATE TABLE champions (
	id SERIAL NOT NULL, 
	version TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	by TEXT NOT NULL, 
	why TEXT NOT NULL, 
	takes_back INTEGER, 
	CONSTRAINT pk_champions PRIMARY KEY (id), 
	CONSTRAINT fk_champions_takes_back FOREIGN KEY(takes_back) REFERENCES champions (id), 
	CONSTRAINT fk_champions_version FOREIGN KEY(version) REFERENCES bundles (version)
);

COMMENT ON COLUMN champions.id IS 'never used twice, in the order of commits: a change mark';

COMMENT ON COLUMN champions.by IS 'a person, or the trainer';

COMMENT ON COLUMN champions.takes_back IS 'set by a rollback: the row whose bundle it took out';

CREATE TABLE labels (
	id SERIAL NOT NULL, 
	message_id VARCHAR(26) NOT NULL, 
	task TEXT NOT NULL, 
	label TEXT NOT NULL, 
	by TEXT NOT NULL, 
	source TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	replaces INTEGER, 
	undoes INTEGER, 
	CONSTRAINT pk_labels PRIMARY KEY (id), 
	CONSTRAINT fk_labels_message_id FOREIGN KEY(message_id) REFERENCES messages (id), 
	CONSTRAINT fk_labels_replaces FOREIGN KEY(replaces) REFERENCES labels (id), 
	CONSTRAINT fk_labels_undoes FOREIGN KEY(undoes) REFERENCES labels (id), 
	CONSTRAINT uq_labels_undoes UNIQUE (undoes)
);

COMMENT ON COLUMN labels.id IS 'never used twice, in the order of commits: a change mark';

COMMENT ON COLUMN labels.task IS 'spam, sentiment or a task of the site';

COMMENT ON COLUMN labels.label IS 'of that task; in an undo, the label taken back';

COMMENT ON COLUMN labels.by IS 'who: name for the CLI, user id for Slack';

COMMENT ON COLUMN labels.source IS 'slack, cli …';

COMMENT ON COLUMN labels.replaces IS 'the same person''s label that stood until now';

COMMENT ON COLUMN labels.undoes IS 'this row is an undo of that label';

CREATE INDEX ix_labels_message_id_task ON labels (message_id, task);

INSERT INTO alembic_version (version_num) VALUES ('0001') RETURNING alembic_version.version_num;

ALTER TABLE messages ADD COLUMN head BYTEA;

COMMENT ON COLUMN messages.head IS 'its first 3,500 bytes, deflated; for the learner, kept and removed with text';

UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';

DROP INDEX ix_messages_received_at;

CREATE INDEX ix_messages_received_at_verdict ON messages (received_at, verdict, sentiment);

CREATE TABLE incidents (
	id SERIAL NOT NULL, 
	kind TEXT NOT NULL, 
	source TEXT NOT NULL, 
	text TEXT NOT NULL, 
	began_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	seen_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_incidents PRIMARY KEY (id)
);

COMMENT ON COLUMN incidents.kind IS 'next_hop or bundle';

COMMENT ON COLUMN incidents.source IS 'host and worker that saw it';

COMMENT ON COLUMN incidents.text IS 'what is wrong, a line; never content of mail';

COMMENT ON COLUMN incidents.seen_at IS 'last said to go on; one not said for minutes died with its process';

CREATE INDEX ix_incidents_seen_at ON incidents (seen_at);

CREATE TABLE pauses (
	id SERIAL NOT NULL, 
	what TEXT NOT NULL, 
	paused BOOLEAN NOT NULL, 
	by TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_pauses PRIMARY KEY (id)
);

COMMENT ON COLUMN pauses.what IS 'cards or nights';

COMMENT ON COLUMN pauses.paused IS 'put on hold, else taken up again';

COMMENT ON COLUMN pauses.by IS 'who: name for the CLI, user id for Slack';

CREATE TABLE slack_events (
	key TEXT NOT NULL, 
	at TIMESTAMP WITH TIME ZONE NOT NULL, 
	CONSTRAINT pk_slack_events PRIMARY KEY (key)
);

COMMENT ON COLUMN slack_events.key IS 'Slack''s own id of the event';

CREATE INDEX ix_slack_events_at ON slack_events (at);

CREATE TABLE slack_posts (
	id SERIAL NOT NULL, 
	key TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	message_id VARCHAR(26), 
	content JSON NOT NULL, 
	answers TEXT, 
	ts TEXT, 
	wanted INTEGER NOT NULL, 
	shown INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	given_up TEXT, 
	CONSTRAINT pk_slack_posts PRIMARY KEY (id), 
	CONSTRAINT uq_slack_posts_key UNIQUE (key)
);

COMMENT ON COLUMN slack_posts.id IS 'posts are said in this order';

COMMENT ON COLUMN slack_posts.key IS 'e.g. card:ID or digest:2026-11-26; nothing is said twice';

COMMENT ON COLUMN slack_posts.kind IS 'card, digest, alert or reply';

COMMENT ON COLUMN slack_posts.channel IS 'Slack channel id';

COMMENT ON COLUMN slack_posts.message_id IS 'mail of a card; it may be gone by retention';

COMMENT ON COLUMN slack_posts.content IS 'what it is made of, but for what the database says of its mail when it is said';

COMMENT ON COLUMN slack_posts.answers IS 'key of the post whose thread it is in';

COMMENT ON COLUMN slack_posts.ts IS 'Slack''s name for it; NULL until it is said';

COMMENT ON COLUMN slack_posts.wanted IS 'grows with each change of what it should show';

COMMENT ON COLUMN slack_posts.shown IS 'the last of them that Slack has taken; 0: none';

COMMENT ON COLUMN slack_posts.attempts IS 'begun since Slack last took one';

COMMENT ON COLUMN slack_posts.next_at IS 'not to be tried before';

COMMENT ON COLUMN slack_posts.given_up IS 'why it will not be said; a line';

CREATE INDEX ix_slack_posts_created_at ON slack_posts (created_at);

CREATE INDEX ix_slack_posts_message_id ON slack_posts (message_id);

CREATE INDEX ix_slack_posts_pending ON slack_posts (next_at) WHERE shown < wanted AND given_up IS NULL;

UPDATE alembic_version SET version_num='0003' WHERE alembic_version.version_num = '0002';
