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
`}
}

const (
	putFinding = `INSERT INTO findings (finding_id, revision, document) VALUES (?, ?, ?)
		ON CONFLICT (finding_id) DO UPDATE SET revision = excluded.revision, document = excluded.document
		WHERE excluded.revision > findings.revision`
	fileFinding = `INSERT INTO dockets (docket, finding_id) VALUES (?, ?) ON CONFLICT DO NOTHING`
	newCase     = `INSERT INTO cases (status, subject_kind, subject_id, score, document, case_id, revision)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	nextCase = `UPDATE cases SET status = ?1, subject_kind = ?2, subject_id = ?3, score = ?4, document = ?5, revision = ?7
		WHERE case_id = ?6 AND revision = ?7 - 1`
	dropTypologies = `DELETE FROM typologies WHERE case_id = ?`
	addTypology    = `INSERT INTO typologies (typology, case_id) VALUES (?, ?) ON CONFLICT DO NOTHING`
	getCase        = `SELECT document FROM cases WHERE case_id = ?`
	getFinding     = `SELECT document FROM findings WHERE finding_id = ?`
	getDocket      = `SELECT f.document FROM dockets d JOIN findings f USING (finding_id) WHERE d.docket = ? ORDER BY d.finding_id`
	getDockets     = `SELECT docket FROM dockets WHERE finding_id = ? ORDER BY docket`
)
