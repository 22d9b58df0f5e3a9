/**
 * The `data-testid` attributes that tests may rely on. A test compares this list with the pages.
 *
 * Numbers are also in the element's `data-value`, unformatted: accuracies as a fraction of 1, queries and rounds as
 * counts, sizes in bytes.
 */
export const TEST_IDS = {
  join: {
    /** Choosing data: tabs, the one-click owner, its number and size, file inputs, drawing. */
    choose: ['tab-builtin', 'tab-files', 'tab-draw', 'choose-builtin', 'builtin-owner', 'builtin-count', 'pick-folder', 'pick-files'],
    /** The same for texts: typed or pasted lines. */
    paste: ['tab-paste', 'paste-text', 'paste-use'],
    draw: ['draw-canvas', 'draw-keep', 'draw-clear', 'draw-use'],
    /** The counts and samples after reading; hidden before. */
    report: ['data-report'],
    /** The hosts; an own model API; the key; the backend. */
    agree: ['host-model', 'model-elsewhere', 'host-organiser', 'no-secure-sums', 'own-model-url', 'own-model-go', 'api-key', 'backend-choice', 'organiser-learns', 'model-learns', 'device-terms', 'embeddings-terms', 'start'],
    /** Trying the model before taking part. */
    connect: ['try-model', 'connect-dialog', 'connect-steps', 'connect-cures', 'connect-key', 'connect-again', 'connect-close'],
    /** While it runs. `activity` is what is being done now; `round-step` is "round 3 of 50". */
    running: ['activity', 'pause', 'resume', 'leave', 'leave-yes', 'leave-no', 'local-step', 'round-phase', 'round-step'],
    /** `accuracy-…` is measured on this owner's held-out examples, `federation-…` on everyone's. */
    results: ['accuracy-before', 'accuracy-now', 'federation-before', 'federation-accuracy', 'kept', 'chart-accuracy', 'chart-loss', 'pictures', 'prompt'],
    /** What is hidden; this participant's ε; the record. `record-fingerprint` has the whole hash in `data-value`. */
    trust: ['secure', 'privacy', 'record-lines', 'record-fingerprint', 'download-record'],
    /** What the server saw of this tab, by script: `seen-plain` without masks; the section's `data-value` is the round, its `data-state` `open` or `ended`. */
    seen: ['seen', 'seen-plain', 'seen-update', 'seen-masked', 'seen-sum', 'seen-members', 'seen-checks'],
    costs: ['queries', 'money-spent', 'bytes-model', 'bytes-aggregator', 'delivered', 'backend', 'prepared'],
    /** The end, and states instead of it. */
    ends: ['finished', 'suspicion', 'download-generator', 'left', 'elsewhere', 'resume-session', 'resume-api-key', 'forget-session', 'changed', 'agree-changes', 'forget-changed'],
    /** Each error; its `data-code` is the stable code, `data-where` the part of the page. Made by script. */
    trouble: ['trouble'],
  },
  index: {
    list: ['federation-list', 'federation-card'],
    dashboard: ['dashboard', 'status', 'connection', 'federation-accuracy', 'federation-before', 'kept', 'live', 'participants', 'round-step', 'round-phase', 'chart-accuracy', 'chart-loss', 'rounds', 'download-generator', 'download-task', 'trouble'],
    trust: ['secure', 'no-secure-sums', 'privacy', 'record-lines', 'record-fingerprint', 'download-record'],
    /** The organiser's view, by script: `server-sees-all` without masks; `data-value` is the round. */
    server: ['server-view', 'server-sees-all', 'server-cannot-see', 'server-has', 'server-sum'],
  },
  organiser: {
    token: ['admin-token', 'sign-in', 'sign-out'],
    /** Each setting's field is `task-` and its path with dashes: `task-model-url`. */
    create: ['tab-form', 'tab-file', 'task-file', 'task-example', 'task-text', 'create', 'create-toml', 'faults', 'trouble'],
    /** Beside the field of candidates. */
    candidates: ['candidates-file'],
    created: ['created', 'invite-link', 'copy-invite'],
    manage: ['federations', 'federation-row', 'new-invite', 'close', 'close-yes', 'close-no'],
    /** Behind each federation's disclosure; a row has its id in `data-invite` and in `data-good` whether it can be joined with. */
    invites: ['invites', 'invite-expires', 'invite-uses', 'invite-list', 'invite-row', 'revoke-invite', 'revoke-yes', 'revoke-no'],
  },
} as const;
