-- Secure sums have one more phase, and messages another version. A sum that is under way is begun again, from the
-- enrolment: nothing of it has been opened.
DELETE FROM standing WHERE EXISTS (
    SELECT 1 FROM round WHERE round.federation = standing.federation AND round.number = standing.round
    AND round.phase IN ('keys', 'shares', 'masked', 'unmask'));
DELETE FROM message;
DELETE FROM round_key;
DELETE FROM frozen;
DELETE FROM inbox;
UPDATE federation SET version = version + 1 WHERE EXISTS (
    SELECT 1 FROM round WHERE round.federation = federation.id
    AND round.phase IN ('keys', 'shares', 'masked', 'unmask'));
UPDATE round SET phase = 'open', since = NULL, enrolled = 0, cohort = 0, delivered = 0, gone = 0, members = 0
    WHERE phase IN ('keys', 'shares', 'masked', 'unmask');
