"""Writes secure_sum.json: whole secure sums and their parts, by another implementation.

    python3 -m venv /tmp/ssv && /tmp/ssv/bin/pip install cryptography==50.0.2
    /tmp/ssv/bin/python shared/vectors/secure_sum.py > shared/vectors/secure_sum.json

Nothing here is derived from the Rust code but the definition: labels, byte order, who is whose neighbour. The
primitives are OpenSSL's; GF(256) is done with tables of logarithms, the ring with Python's integers.
"""

import hashlib
import hmac
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DOMAIN = b"fed-bbpt secure-sum v1 "
ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's base point


def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


def sha256(data):
    return hashlib.sha256(data).digest()


def digest(label, *parts):
    data = b"".join(u64(len(part)) + part for part in (DOMAIN + label, *parts))
    return sha256(data)


def labelled(label, *parts):
    return DOMAIN + label + b"\0" + b"".join(parts)


def derive(key, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(key)


class Keystream:
    def __init__(self, key, label):
        # OpenSSL's nonce is the block counter and the nonce of RFC 8439.
        self.stream = Cipher(algorithms.ChaCha20(derive(key, label), bytes(16)), mode=None).encryptor()

    def take(self, count):
        return self.stream.update(bytes(count))

    def number(self):
        return struct.unpack("<Q", self.take(8))[0]

    def below(self, n):
        largest = 2**64 - 1
        limit = largest - largest % n
        while True:
            number = self.number()
            if number < limit:
                return number % n


# GF(256) modulo x^8 + x^4 + x^3 + x + 1, with the generator x + 1.

EXP, LOG = [0] * 255, [0] * 256
element = 1
for power in range(255):
    EXP[power], LOG[element] = element, power
    element ^= (element << 1) ^ (0x11B if element & 0x80 else 0)
    element &= 0xFF


def times(a, b):
    return EXP[(LOG[a] + LOG[b]) % 255] if a and b else 0


def over(a, b):
    return EXP[(LOG[a] - LOG[b]) % 255] if a else 0


def split(secret, t, n, stream):
    polynomial = [secret] + [stream.take(32) for _ in range(t - 1)]
    shares = []
    for x in range(1, n + 1):
        share = bytearray(32)
        power = 1
        for coefficient in polynomial:
            for i in range(32):
                share[i] ^= times(coefficient[i], power)
            power = times(power, x)
        shares.append(bytes(share))
    return shares


def combine(shares):
    secret = bytearray(32)
    for x, share in shares:
        factor = 1
        for other, _ in shares:
            if other != x:
                factor = times(factor, over(other, other ^ x))
        for i in range(32):
            secret[i] ^= times(factor, share[i])
    return bytes(secret)


# Keys.


def x25519_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private, public):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def ed25519_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def context_digest(context):
    return digest(
        b"context", context["federation"].encode(), context["task"], u32(context["round"]), context["theta"], context["record"]
    )


# Messages as they travel: a version byte, then postcard.
VERSION = b"\3"


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def sequence(items):
    return varint(len(items)) + b"".join(items)


def wire_member(m):
    return varint(m["participant"]) + m["identity"] + m["encryption"] + m["masking"] + m["signature"]


def wire_roster(members):
    return VERSION + sequence([wire_member(m) for m in members])


def wire_envelopes(envelopes):
    return sequence([varint(peer) + varint(len(sealed)) + sealed for peer, sealed in envelopes])


def wire_shares(roster_hash, envelopes):
    return VERSION + roster_hash + wire_envelopes(envelopes)


def wire_inbox(senders, envelopes):
    return VERSION + sequence([varint(s) for s in senders]) + wire_envelopes(envelopes)


def wire_masked(senders_hash, vector, signature):
    return VERSION + senders_hash + varint(len(vector)) + vector + signature


def wire_survivors(members):
    """Each is a number, its vector's hash, and its signature over that."""
    return VERSION + sequence([varint(number) + vector + signature for number, vector, signature in members])


def wire_confirmation(survivors_hash, signature):
    return VERSION + survivors_hash + signature


def wire_confirmations(signatures):
    return VERSION + sequence([varint(number) + signature for number, signature in signatures])


KINDS = {"self-mask": 0, "masking-key": 1}


def wire_unmask(survivors_hash, shares):
    return VERSION + survivors_hash + sequence([varint(of) + varint(KINDS[kind]) + share for of, kind, share in shares])


def hash_members(label, members):
    return digest(label, b"".join(map(u32, members)))


def hash_roster(members):
    parts = [u32(m["participant"]) + m["identity"] + m["encryption"] + m["masking"] + m["signature"] for m in members]
    return digest(b"roster", b"".join(parts))


# Vectors.


def pack(ring, entries, vector):
    wide = ring == "u64"
    out = b"".join(u64(v % 2**64) if wide else u32(v % 2**32) for v in vector[:entries])
    return out + b"".join(u64(v % 2**64) for v in vector[entries:])


def unpack(ring, entries, tail, data):
    size = 8 if ring == "u64" else 4
    numbers = [int.from_bytes(data[i * size : (i + 1) * size], "little") for i in range(entries)]
    rest = data[entries * size :]
    return numbers + [int.from_bytes(rest[8 * i : 8 * i + 8], "little") for i in range(tail)]


def moduli(ring, entries, tail):
    return [2**64 if ring == "u64" else 2**32] * entries + [2**64] * tail


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Sum:
    """All of one sum. `stops`: by participant, what it no longer does: "shares", "masked", "confirm" or "unmask"."""

    def __init__(self, name, context, policy, layout, numbers, stops):
        self.name, self.context, self.policy, self.layout, self.stops = name, context, policy, layout, stops
        self.binding = context_digest(context)
        ring, entries, tail = layout
        self.moduli = moduli(ring, entries, tail)
        self.members = []
        for number in numbers:
            tag = f"{name} {number}".encode()
            seed, identity_seed = sha256(b"seed " + tag), sha256(b"identity " + tag)
            me = {"participant": number, "seed": seed, "identity_seed": identity_seed, "identity": ed25519_public(identity_seed)}
            me["encryption_private"] = self.secret(me, b"encryption key")
            me["masking_private"] = self.secret(me, b"masking key")
            me["self_mask"] = self.secret(me, b"self mask seed")
            me["encryption"] = x25519_public(me["encryption_private"])
            me["masking"] = x25519_public(me["masking_private"])
            me["signature"] = self.sign_keys(me, identity_seed)
            stream = Keystream(seed, b"vector")
            me["vector"] = [stream.below(2_000_001) - 1_000_000 for _ in self.moduli]
            self.members.append(me)
        self.by_number = {m["participant"]: m for m in self.members}
        self.roster = hash_roster(self.members)
        self.make_graph()
        self.deal()
        self.mask()
        self.confirm()
        self.unmask()
        self.open()

    def secret(self, me, purpose):
        return derive(me["seed"], labelled(purpose, self.binding, u32(me["participant"])))

    def sign_keys(self, member, identity_seed, binding=None):
        parts = (binding or self.binding, u32(member["participant"]), member["encryption"], member["masking"])
        return sign(identity_seed, labelled(b"round keys", *parts))

    def numbers(self):
        return [m["participant"] for m in self.members]

    def reaching(self, step):
        steps = ["shares", "masked", "confirm", "unmask", None]
        return [n for n in self.numbers() if steps.index(self.stops.get(n)) > steps.index(step)]

    def make_graph(self):
        order = self.numbers()
        stream = Keystream(self.roster, labelled(b"order"))
        for i in range(len(order) - 1, 0, -1):
            j = stream.below(i + 1)
            order[i], order[j] = order[j], order[i]
        count = self.policy["groups"]
        size, larger = divmod(len(order), count)
        self.groups, start = [], 0
        for group in range(count):
            end = start + size + (group < larger)
            self.groups.append(order[start:end])
            start = end
        self.holders = {}
        reach = (self.policy["degree"] + 1) // 2
        for group in self.groups:
            for at, member in enumerate(group):
                if len(group) <= 2 * reach + 1:
                    holding = group
                else:
                    holding = [group[(at + step) % len(group)] for step in range(-reach, reach + 1)]
                self.holders[member] = sorted(holding)

    def threshold(self, m):
        return int(m * f32(self.policy["threshold"])) + 1

    def envelope_key(self, private, public, sender, to):
        a, b = self.by_number[sender], self.by_number[to]
        names = (self.binding, self.roster, u32(sender), u32(to))
        key = derive(agree(private, public), labelled(b"envelope", *names, a["encryption"], b["encryption"]))
        return ChaCha20Poly1305(key), labelled(b"envelope", *names)

    def deal(self):
        self.senders = self.reaching("shares")
        self.senders_hash = hash_members(b"senders", self.senders)
        self.held, self.shares, self.dealt = {}, {}, {}
        for me in self.members:
            number, holders = me["participant"], self.holders[me["participant"]]
            t = self.threshold(len(holders))
            pieces = []
            for purpose, secret in ((b"self mask shares", "self_mask"), (b"masking key shares", "masking_private")):
                label = labelled(purpose, self.binding, u32(number), self.roster)
                pieces.append(split(me[secret], t, len(holders), Keystream(me["seed"], label)))
            envelopes = []
            for holder, self_mask, masking_key in zip(holders, *pieces):
                self.held[holder, number] = (self_mask, masking_key)
                if holder != number:
                    public = self.by_number[holder]["encryption"]
                    cipher, aad = self.envelope_key(me["encryption_private"], public, number, holder)
                    envelopes.append((holder, cipher.encrypt(bytes(12), self_mask + masking_key, aad)))
            if number in self.senders:
                self.dealt[number] = dict(envelopes)
                self.shares[number] = envelopes

    def inbox(self, to):
        return [(s, self.dealt[s][to]) for s in self.senders if s != to and s in self.holders[to]]

    def stream(self, key, label, *parts):
        ring, entries, tail = self.layout
        length = entries * (8 if ring == "u64" else 4) + 8 * tail
        stream = Keystream(key, labelled(label, self.binding, self.roster, self.senders_hash, *parts))
        return unpack(ring, entries, tail, stream.take(length))

    def pair_mask(self, private, mine, theirs):
        low, high = sorted((mine, theirs))
        publics = (self.by_number[low]["masking"], self.by_number[high]["masking"])
        key = agree(private, self.by_number[theirs]["masking"])
        return self.stream(key, b"pair mask", u32(low), u32(high), *publics)

    def self_mask(self, seed, number):
        return self.stream(seed, b"self mask", u32(number))

    def added(self, vector, mask, sign):
        return [(v + sign * m) % q for v, m, q in zip(vector, mask, self.moduli)]

    def mask(self):
        ring, entries, _ = self.layout
        self.survivors = self.reaching("masked")
        self.survivors_hash = hash_members(b"survivors", self.survivors)
        self.masked = {}
        for number in self.survivors:
            me = self.by_number[number]
            vector = self.added(me["vector"], self.self_mask(me["self_mask"], number), 1)
            for peer in self.holders[number]:
                if peer != number and peer in self.senders:
                    mask = self.pair_mask(me["masking_private"], number, peer)
                    vector = self.added(vector, mask, 1 if number < peer else -1)
            packed = pack(ring, entries, vector)
            me["masked"] = vector
            self.masked[number] = (packed, sign(me["identity_seed"], self.commitment(number, packed)))

    def commitment(self, number, packed, senders_hash=None):
        return labelled(b"masked", self.binding, u32(number), senders_hash or self.senders_hash, sha256(packed))

    def told(self, numbers):
        """What the aggregator says about survivors."""
        return [(n, sha256(self.masked[n][0]), self.masked[n][1]) for n in numbers]

    def confirmation(self, number, survivors_hash=None):
        return labelled(
            b"survivors", self.binding, u32(number), self.roster, self.senders_hash, survivors_hash or self.survivors_hash
        )

    def confirm(self):
        seeds = {n: self.by_number[n]["identity_seed"] for n in self.reaching("confirm")}
        self.confirmed = [(n, sign(seed, self.confirmation(n))) for n, seed in seeds.items()]

    def unmask(self):
        self.unmasks = {}
        for number in self.reaching("unmask"):
            shares = []
            for of in self.holders[number]:
                if of in self.senders:
                    survived = of in self.survivors
                    share = self.held[number, of][0 if survived else 1]
                    shares.append((of, "self-mask" if survived else "masking-key", share))
            self.unmasks[number] = shares

    def open(self):
        """As the server does it, from what it has; then it must be the sum."""
        self.sums = []
        for group in self.groups:
            total = [0] * len(self.moduli)
            survivors = [n for n in group if n in self.survivors]
            for number in survivors:
                total = self.added(total, self.by_number[number]["masked"], 1)
            for of in group:
                neighbours = [h for h in self.holders[of] if h in self.survivors and h != of]
                if of not in self.senders or not (of in self.survivors or neighbours):
                    continue
                shares = []
                for place, holder in enumerate(self.holders[of]):
                    revealed = [share for who, _, share in self.unmasks.get(holder, []) if who == of]
                    shares += [(place + 1, share) for share in revealed]
                t = self.threshold(len(self.holders[of]))
                secret = combine(shares[:t])
                assert len(shares) >= t, (self.name, of)
                if of in self.survivors:
                    assert secret == self.by_number[of]["self_mask"]
                    total = self.added(total, self.self_mask(secret, of), -1)
                else:
                    assert x25519_public(secret) == self.by_number[of]["masking"]
                    for neighbour in neighbours:
                        mask = self.pair_mask(secret, of, neighbour)
                        total = self.added(total, mask, -1 if neighbour < of else 1)
            centred = [v - q if v >= q // 2 else v for v, q in zip(total, self.moduli)]
            plain = [sum(column) for column in zip(*(self.by_number[n]["vector"] for n in survivors))]
            assert centred == (plain or [0] * len(self.moduli)), self.name
            self.sums.append(centred)

    def as_json(self):
        ring, entries, tail = self.layout
        context = {k: v.hex() if isinstance(v, bytes) else v for k, v in self.context.items()}
        policy = dict(self.policy, threshold=f32(self.policy["threshold"]))
        participants = []
        for me in self.members:
            number = me["participant"]
            one = {
                "participant": number,
                "seed": me["seed"].hex(),
                "identity_seed": me["identity_seed"].hex(),
                "vector": me["vector"],
                "keys": {key: me[key].hex() for key in ("identity", "encryption", "masking", "signature")},
                "holders": self.holders[number],
            }
            if number in self.senders:
                one["shares"] = wire_shares(self.roster, self.shares[number]).hex()
            if number in self.masked:
                one["inbox"] = wire_inbox(self.senders, self.inbox(number)).hex()
                one["masked"] = wire_masked(self.senders_hash, *self.masked[number]).hex()
            if number in dict(self.confirmed):
                one["confirmation"] = wire_confirmation(self.survivors_hash, dict(self.confirmed)[number]).hex()
            if number in self.unmasks:
                one["unmask"] = wire_unmask(self.survivors_hash, self.unmasks[number]).hex()
            participants.append(one)
        return {
            "name": self.name,
            "context": context,
            "digest": self.binding.hex(),
            "policy": policy,
            "layout": {"ring": ring, "entries": entries, "tail": tail},
            "roster": wire_roster(self.members).hex(),
            "roster_hash": self.roster.hex(),
            "groups": self.groups,
            "senders": self.senders,
            "survivors": wire_survivors(self.told(self.survivors)).hex(),
            "confirmations": wire_confirmations(self.confirmed).hex(),
            "participants": participants,
            "sums": self.sums,
        }


def context(name):
    hashed = {key: sha256(f"{key} {name}".encode()) for key in ("task", "theta", "record")}
    return {"federation": f"federation-{name}", "task": hashed["task"], "round": 41, "theta": hashed["theta"], "record": hashed["record"]}


def policy(cohort_min=3, threshold=2 / 3, degree=100, groups=1):
    return {"cohort_min": cohort_min, "threshold": threshold, "degree": degree, "groups": groups}


def make_sums():
    # One drops out before its masked vector (13), one after its confirmation (40): seven of seven answer, and t = 5.
    numbers, stops = [2, 13, 21, 40, 300, 500, 900], {13: "masked", 40: "unmask"}
    seven = Sum("seven", context("seven"), policy(), ("u32", 6, 3), numbers, stops)
    # A graph that is not complete, and one who never dealt shares.
    numbers, stops = [*range(5, 36, 3), 70_000], {5: "shares", 20: "masked", 11: "confirm"}
    sparse = Sum("sparse", context("sparse"), policy(degree=6), ("u64", 4, 0), numbers, stops)
    # Nobody of one of two groups survives.
    numbers = list(range(7))
    trial = Sum("groups", context("groups"), policy(groups=2), ("u32", 3, 1), numbers, {})
    groups = Sum("groups", context("groups"), policy(groups=2), ("u32", 3, 1), numbers, {n: "masked" for n in trial.groups[1]})
    wide = Sum("three", context("three"), policy(), ("u64", 2, 1), [0, 1, 4_294_967_295], {})
    return [seven, sparse, groups, wide]


# What must be refused.


def refusals(seven):
    """What participant 21 of the sum "seven" is sent, at which step, and its suspicion."""
    members, victim = seven.members, 21
    cases = []

    def case(name, step, message, suspicion):
        cases.append({"name": name, "step": step, "message": message.hex(), "suspicion": suspicion})

    def changed(number, resign=None, **changes):
        """The roster with one member changed, and signed anew by a given identity."""
        out = []
        for member in members:
            member = dict(member)
            if member["participant"] == number:
                member.update(changes)
                if resign:
                    member["identity"] = ed25519_public(resign)
                    member["signature"] = seven.sign_keys(member, resign)
            out.append(member)
        return wire_roster(out)

    other_seed = sha256(b"an identity of the server's")
    other_key = x25519_public(sha256(b"a key of the server's"))
    me, second = seven.by_number[victim], seven.by_number[13]
    neutral = b"\1" + bytes(31)
    case("own key missing", "roster", wire_roster([m for m in members if m is not me]), "own-key-missing")
    case("own key changed", "roster", changed(victim, masking=other_key), "own-key-changed")
    case("own identity changed", "roster", changed(victim, resign=other_seed), "own-key-changed")
    case("a key twice", "roster", changed(13, resign=second["identity_seed"], masking=me["encryption"]), "duplicate-key")
    case("an identity twice", "roster", changed(13, resign=seven.by_number[2]["identity_seed"]), "duplicate-member")
    case("a participant twice", "roster", wire_roster(members[:1] + members), "duplicate-member")
    case("not sorted", "roster", wire_roster(members[::-1]), "not-sorted")
    case("two are too few", "roster", wire_roster(members[1:3]), "too-few-members")
    case("not signed", "roster", changed(13, masking=other_key), "bad-signature")
    foreign = seven.sign_keys(second, second["identity_seed"], context_digest(dict(seven.context, round=40)))
    case("keys of the round before", "roster", changed(13, signature=foreign), "bad-signature")
    foreign = seven.sign_keys(second, second["identity_seed"], context_digest(dict(seven.context, record=bytes(32))))
    case("keys under another record head", "roster", changed(13, signature=foreign), "bad-signature")
    case("another identity", "roster", changed(13, resign=other_seed), "identity-changed")
    case("a key of order 2", "roster", changed(13, resign=second["identity_seed"], masking=bytes(32)), "weak-key")
    case("a key of order 4", "roster", changed(13, resign=second["identity_seed"], encryption=neutral), "weak-key")
    high = me["masking"][:31] + bytes([me["masking"][31] | 0x80])
    case("a copied key in another encoding", "roster", changed(13, resign=second["identity_seed"], masking=high), "weak-key")

    senders, inbox = seven.senders, seven.inbox(victim)
    case("left out of U2", "inbox", wire_inbox([s for s in senders if s != victim], inbox), "excluded")
    case("a stranger in U2", "inbox", wire_inbox(senders + [901], inbox), "not-a-subset")
    case("U2 not sorted", "inbox", wire_inbox(senders[::-1], inbox), "not-sorted")
    case("a sender twice", "inbox", wire_inbox(senders[:1] + senders, inbox), "duplicate-member")
    few = [2, victim]
    case("fewer than t senders", "inbox", wire_inbox(few, [e for e in inbox if e[0] in few]), "too-few-members")
    case("shares missing", "inbox", wire_inbox(senders, inbox[1:]), "shares-missing")
    case("shares too many", "inbox", wire_inbox([s for s in senders if s != 2], inbox), "malformed")
    tampered = [(peer, sealed[:-1] + bytes([sealed[-1] ^ 1])) for peer, sealed in inbox]
    case("a tampered tag", "inbox", wire_inbox(senders, inbox[:-1] + tampered[-1:]), "bad-envelope")
    short = [(inbox[0][0], inbox[0][1][:79])] + inbox[1:]
    case("a short envelope", "inbox", wire_inbox(senders, short), "bad-envelope")
    swapped = [(inbox[0][0], inbox[1][1]), (inbox[1][0], inbox[0][1])] + inbox[2:]
    case("two envelopes swapped", "inbox", wire_inbox(senders, swapped), "bad-envelope")
    earlier = Sum("seven", dict(seven.context, round=40), seven.policy, seven.layout, seven.numbers(), {})
    case("shares of another round", "inbox", wire_inbox(senders, earlier.inbox(victim)), "bad-envelope")

    told = seven.told(seven.survivors)
    case("left out of U3", "survivors", wire_survivors([s for s in told if s[0] != victim]), "excluded")
    case("a stranger in U3", "survivors", wire_survivors(told + [(901, bytes(32), bytes(64))]), "not-a-subset")
    case("U3 not sorted", "survivors", wire_survivors(told[::-1]), "not-sorted")
    case("a survivor twice", "survivors", wire_survivors(told[:1] + told), "duplicate-member")
    case("fewer than t survivors", "survivors", wire_survivors(seven.told([2, victim])), "too-few-survivors")
    elsewhere = sign(seven.by_number[300]["identity_seed"], seven.commitment(300, seven.masked[300][0], hash_members(b"senders", [2, 300])))
    other = [(n, v, elsewhere if n == 300 else g) for n, v, g in told]
    case("a survivor who was shown other senders", "survivors", wire_survivors(other), "other-senders")
    other = [(n, sha256(b"") if n == 300 else v, g) for n, v, g in told]
    case("another vector of a survivor", "survivors", wire_survivors(other), "other-senders")
    confirmed = seven.confirmed
    case("fewer than t confirmations", "confirmations", wire_confirmations(confirmed[:4]), "too-few-confirmed")
    case("a confirmation twice", "confirmations", wire_confirmations(confirmed[:1] + confirmed), "duplicate-member")
    case("confirmations not sorted", "confirmations", wire_confirmations(confirmed[::-1]), "not-sorted")
    stranger = [(13, confirmed[0][1])]
    case("a dropout confirms", "confirmations", wire_confirmations(sorted(confirmed + stranger)), "not-a-subset")
    fewer = sign(seven.by_number[300]["identity_seed"], seven.confirmation(300, hash_members(b"survivors", [2, 21, 40, 300, 500])))
    other = [(n, fewer if n == 300 else g) for n, g in confirmed]
    case("who confirms other survivors", "confirmations", wire_confirmations(other), "other-survivors")
    case("a second roster", "second-roster", changed(13, resign=other_seed), "second-request")
    case("a second inbox", "second-inbox", wire_inbox([2, victim, 40], [e for e in inbox if e[0] in (2, 40)]), "second-request")
    case("second survivors", "second-survivors", wire_survivors(told[1:]), "second-request")
    return cases


def rejects(seven):
    """What the aggregator must not take in the sum "seven"."""
    cases = []

    def case(name, kind, sender, message):
        cases.append({"name": name, "kind": kind, "from": sender, "message": message.hex()})

    packed, signature = seven.masked[21]
    flipped = bytes([packed[0] ^ 1]) + packed[1:]
    case("a changed vector", "masked", 21, wire_masked(seven.senders_hash, flipped, signature))
    case("a short vector", "masked", 21, wire_masked(seven.senders_hash, packed[:-1], signature))
    case("of somebody else", "masked", 2, wire_masked(seven.senders_hash, packed, signature))
    other = hash_members(b"senders", [2, 21, 40, 300, 500, 900])
    again = sign(seven.by_number[21]["identity_seed"], seven.commitment(21, packed, other))
    case("for other senders", "masked", 21, wire_masked(other, packed, again))
    # s + L satisfies the equation too, and is not canonical.
    s = int.from_bytes(signature[32:], "little") + ORDER
    malleable = signature[:32] + s.to_bytes(32, "little")
    case("a signature that is not canonical", "masked", 21, wire_masked(seven.senders_hash, packed, malleable))
    confirmation = dict(seven.confirmed)[21]
    case("a confirmation of other survivors", "confirmation", 21, wire_confirmation(hash_members(b"survivors", [2, 21, 40]), confirmation))
    case("a confirmation of somebody else", "confirmation", 2, wire_confirmation(seven.survivors_hash, confirmation))
    case("a confirmation by a dropout", "confirmation", 13, wire_confirmation(seven.survivors_hash, confirmation))
    shares = seven.unmasks[21]
    case("one share missing", "unmask", 21, wire_unmask(seven.survivors_hash, shares[1:]))
    other_kind = [(shares[0][0], "masking-key", shares[0][2])] + shares[1:]
    case("a survivor's masking key", "unmask", 21, wire_unmask(seven.survivors_hash, other_kind))
    both = [shares[0], (shares[0][0], "masking-key", shares[0][2])] + shares[1:]
    case("both secrets of one", "unmask", 21, wire_unmask(seven.survivors_hash, both))
    case("about other survivors", "unmask", 21, wire_unmask(hash_members(b"survivors", [2, 21, 40]), shares))
    case("of a dropout", "unmask", 13, wire_unmask(seven.survivors_hash, shares))
    envelopes = seven.shares[21]
    case("an envelope missing", "shares", 21, wire_shares(seven.roster, envelopes[1:]))
    case("an envelope too long", "shares", 21, wire_shares(seven.roster, [(envelopes[0][0], envelopes[0][1] + b"\0")] + envelopes[1:]))
    case("of another roster", "shares", 21, wire_shares(bytes(32), envelopes))
    case("to oneself", "shares", 21, wire_shares(seven.roster, [(21, envelopes[0][1])] + envelopes[1:]))
    me = dict(seven.by_number[21])
    me["masking"] = me["encryption"]
    me["signature"] = seven.sign_keys(me, me["identity_seed"])
    case("one key for two purposes", "keys", 21, VERSION + wire_member(me))
    me = dict(seven.by_number[21], participant=22)
    case("keys of another participant", "keys", 22, VERSION + wire_member(me))
    me = dict(seven.by_number[21], encryption=bytes(32))
    me["signature"] = seven.sign_keys(me, me["identity_seed"])
    case("a key of small order", "keys", 21, VERSION + wire_member(me))
    return cases


# The parts.


def keystreams():
    cases = []
    for key, label, count in ((bytes(32), b"", 32), (sha256(b"key"), b"label", 200), (b"\xff" * 32, labelled(b"order"), 65)):
        # HKDF once more, by RFC 5869's own words.
        prk = hmac.digest(bytes(32), key, "sha256")
        assert hmac.digest(prk, label + b"\1", "sha256") == derive(key, label)
        taken = Keystream(key, label).take(count)
        cases.append({"key": key.hex(), "label": label.hex(), "bytes": taken.hex()})
    return cases


def shamirs():
    cases = []
    for t, n in ((1, 1), (1, 4), (2, 3), (3, 5), (7, 7), (67, 100), (128, 255), (255, 255)):
        secret, key = sha256(b"secret %d %d" % (t, n)), sha256(b"key %d %d" % (t, n))
        shares = split(secret, t, n, Keystream(key, b"shamir"))
        assert combine(list(enumerate(shares, 1))[-t:]) == secret
        shown = shares if n <= 7 else shares[:3] + shares[-2:]
        one = {"t": t, "n": n, "secret": secret.hex(), "key": key.hex(), "label": b"shamir".hex()}
        one["first"] = [share.hex() for share in shown[:3]]
        one["last"] = shares[-1].hex()
        one["all"] = sha256(b"".join(shares)).hex()
        cases.append(one)
    return cases


def shamir_refusals():
    shares = list(enumerate(split(sha256(b"secret"), 3, 5, Keystream(bytes(32), b"shamir")), 1))
    wrong = shares[:3] + [(4, bytes(32))]
    listed = [
        ("too few", shares[:2], 3),
        ("one twice", [shares[0], shares[1], shares[1]], 3),
        ("x = 0", [(0, shares[0][1]), shares[1], shares[2]], 3),
        ("contradicting", wrong, 3),
        ("t = 0", shares, 0),
    ]
    return [{"name": name, "t": t, "shares": [[x, share.hex()] for x, share in some]} for name, some, t in listed]


def signatures():
    """Signatures that must not verify."""
    seed = sha256(b"signer")
    public, message = ed25519_public(seed), b"message"
    good = sign(seed, message)
    Ed25519PublicKey.from_public_bytes(public).verify(good, message)
    s = int.from_bytes(good[32:], "little") + ORDER
    neutral = b"\1" + bytes(31)
    cases = [
        ("another message", public, b"massage", good),
        ("another key", ed25519_public(sha256(b"other")), message, good),
        ("not canonical", public, message, good[:32] + s.to_bytes(32, "little")),
        ("a key of small order", neutral, message, neutral + bytes(32)),
        ("zero", public, message, bytes(64)),
    ]
    for name, key, text, signature in cases[:2] + cases[4:]:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
            raise SystemExit(f"OpenSSL takes the signature: {name}")
        except InvalidSignature:
            pass
    return [{"name": n, "public": k.hex(), "message": m.hex(), "signature": g.hex()} for n, k, m, g in cases]


def fixed_points():
    def fits(cohort, clip, noise, bits, limit):
        return cohort * (-int(-(clip * 2**bits) // 1) + 1) + noise < limit

    cases = []
    for cohort, clip, noise in (
        (10, 1.0, 0), (300, 1.0, 0), (300, 0.1, 12_345), (300, 8.0, 10**9), (32_767, 1.0, 0), (32_768, 1.0, 0),
        (100, 1.0, 2**31), (5, 3.0e-5, 0), (7, 100_000.0, 0), (1_000_000, 2.5, 10**12), (0, 1.0, 0), (10, 0.0, 0),
        (10, -1.0, 0), (2**32 - 1, 1.0, 2**63),
    ):
        clip = f32(clip)
        one = {"cohort_max": cohort, "clip": clip, "noise_bound": noise}
        chosen = None
        if cohort > 0 and clip > 0:
            narrow = [b for b in range(201) if clip * 2**b >= 2**16 and fits(cohort, clip, noise, b, 2**31)]
            wide = [b for b in range(201) if clip * 2**b <= 2**24]
            if narrow:
                chosen = {"ring": "u32", "bits": narrow[-1]}
            elif wide and fits(cohort, clip, noise, wide[-1], 2**63):
                chosen = {"ring": "u64", "bits": wide[-1]}
        one["chosen"] = chosen
        if chosen:
            key = sha256(b"rounding %d" % len(cases))
            stream = Keystream(key, b"rounding")
            values = [0.0, clip, -clip, clip / 3, -clip / 7, clip * 1e-9, -clip * 1e-30, clip / 2]
            integers = []
            for value in values:
                exact = value * 2 ** chosen["bits"]
                below = exact // 1
                integers.append(int(below) + ((stream.number() >> 11) / 2**53 < exact - below))
            one.update(key=key.hex(), label=b"rounding".hex(), values=values, integers=integers)
        cases.append(one)
    return cases


def main():
    sums = make_sums()
    seven = sums[0]
    out = {
        "keystreams": keystreams(),
        "shamir": shamirs(),
        "shamir_refused": shamir_refusals(),
        "signatures_refused": signatures(),
        "fixed_points": fixed_points(),
        "sums": [one.as_json() for one in sums],
        "refused_by_participant": refusals(seven),
        "refused_by_aggregator": rejects(seven),
    }
    json.dump(out, sys.stdout, indent=1)
    print()


main()
