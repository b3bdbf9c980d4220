package sqlite

// application marks a file as ours in SQLite's header: "vwCS".
const application = 0x76774353

// migrations lead from an empty file to the schema of today, one version each. They are never edited
// once released, only added to.
func migrations() []string {
	return []string{`
CREATE TABLE findings (
	finding_id TEXT    NOT NULL PRIMARY KEY,
	revision   INTEGER NOT NULL,
	document   TEXT    NOT NULL
) STRICT;
CREATE TABLE dockets (
	docket     TEXT NOT NULL,
	finding_id TEXT NOT NULL REFERENCES findings,
	PRIMARY KEY (docket, finding_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dockets_by_finding ON dockets (finding_id, docket);
CREATE TABLE cases (
	case_id      TEXT    NOT NULL PRIMARY KEY,
	revision     INTEGER NOT NULL,
	status       TEXT    NOT NULL,
	subject_kind TEXT    NOT NULL,
	subject_id   TEXT    NOT NULL,
	score        INTEGER NOT NULL,
	document     TEXT    NOT NULL
) STRICT;
CREATE INDEX cases_by_score   ON cases (score DESC, case_id);
CREATE INDEX cases_by_status  ON cases (status, score DESC, case_id);
CREATE INDEX cases_by_subject ON cases (subject_id, subject_kind, score DESC, case_id);
CREATE TABLE typologies (
	typology TEXT NOT NULL,
	case_id  TEXT NOT NULL REFERENCES cases,
	PRIMARY KEY (typology, case_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX typologies_by_case ON typologies (case_id);
`, `
ALTER TABLE cases ADD COLUMN work TEXT NOT NULL DEFAULT '{}';
CREATE TABLE rows (
	number   INTEGER PRIMARY KEY,
	kind     TEXT    NOT NULL,
	id       TEXT    NOT NULL,
	revision INTEGER NOT NULL,
	state    TEXT    NOT NULL,
	subject  TEXT    NOT NULL,
	typology TEXT    NOT NULL, -- of an alert; those of a case are in typologies
	severity TEXT    NOT NULL,
	assignee TEXT    NOT NULL,
	track    TEXT    NOT NULL,
	case_id  TEXT    NOT NULL, -- of an alert
	score    INTEGER NOT NULL,
	subsidy  INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	pending  INTEGER NOT NULL,
	document TEXT    NOT NULL, -- the alert, or the row of the case
	UNIQUE (kind, id)
) STRICT;
CREATE INDEX rows_by_score   ON rows (kind, score DESC, id);
CREATE INDEX rows_by_state   ON rows (kind, state, score DESC, id);
CREATE INDEX rows_by_due     ON rows (kind, due, id);
CREATE INDEX rows_by_at      ON rows (kind, at DESC, id);
CREATE INDEX rows_by_subsidy ON rows (kind, subsidy DESC, id);
CREATE INDEX rows_by_subject ON rows (subject, kind);
CREATE INDEX rows_by_case    ON rows (case_id) WHERE case_id <> '';
CREATE INDEX rows_pending    ON rows (kind, score DESC, id) WHERE pending > 0;
CREATE INDEX rows_counted    ON rows (kind, state, score, typology, severity, assignee, track);
CREATE VIRTUAL TABLE texts USING fts5 (words, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0");
CREATE TABLE audit (
	seq  INTEGER PRIMARY KEY,
	line TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit log is append-only'); END;
CREATE TABLE records (
	kind     TEXT    NOT NULL,
	id       TEXT    NOT NULL,
	revision INTEGER NOT NULL,
	body     TEXT    NOT NULL,
	PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
`}
}

const (
	putFinding = `INSERT INTO findings (finding_id, revision, document) VALUES (?, ?, ?)
		ON CONFLICT (finding_id) DO UPDATE SET revision = excluded.revision, document = excluded.document
		WHERE excluded.revision > findings.revision`
	fileFinding = `INSERT INTO dockets (docket, finding_id) VALUES (?, ?) ON CONFLICT DO NOTHING`
	newCase     = `INSERT INTO cases (status, subject_kind, subject_id, score, document, case_id, revision, work)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, '{}')) ON CONFLICT DO NOTHING`
	nextCase = `UPDATE cases SET status = ?1, subject_kind = ?2, subject_id = ?3, score = ?4, document = ?5, revision = ?7, work = coalesce(?8, work)
		WHERE case_id = ?6 AND revision = ?7 - 1`
	dropTypologies = `DELETE FROM typologies WHERE case_id = ?`
	addTypology    = `INSERT INTO typologies (typology, case_id) VALUES (?, ?) ON CONFLICT DO NOTHING`
	getCase        = `SELECT document FROM cases WHERE case_id = ?`
	getWork        = `SELECT work FROM cases WHERE case_id = ?`
	getDocument    = `SELECT document, work FROM cases WHERE case_id = ?`
	putRow         = `INSERT INTO rows (kind, id, revision, state, subject, typology, severity, assignee, track, case_id, score, subsidy, at, due, pending, document)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
		ON CONFLICT (kind, id) DO UPDATE SET revision = ?3, state = ?4, subject = ?5, typology = ?6, severity = ?7, assignee = ?8, track = ?9, case_id = ?10,
			score = ?11, subsidy = ?12, at = ?13, due = ?14, pending = ?15, document = ?16 WHERE rows.revision = ?3 - 1 OR ?1 = 'case' RETURNING number`
	putText    = `INSERT OR REPLACE INTO texts (rowid, words) VALUES (?, ?)`
	getAlert   = `SELECT document FROM rows WHERE kind = 'alert' AND id = ?`
	getFinding = `SELECT document FROM findings WHERE finding_id = ?`
	getDocket  = `SELECT f.document FROM dockets d JOIN findings f USING (finding_id) WHERE d.docket = ? ORDER BY d.finding_id`
	getDockets = `SELECT docket FROM dockets WHERE finding_id = ? ORDER BY docket`
)
