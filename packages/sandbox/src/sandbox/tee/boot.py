"""What a confidential VM is started with, and what that measures (attestation §2 to §4)."""

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from eth_hash.auto import keccak
from pydantic import BaseModel, ConfigDict, Field

from sandbox.tee.events import RUNTIME, Event, Style

_PINNED: Final = "registry.example/agent@sha256:" + hashlib.sha256(b"agent image").hexdigest()
_SERVICES: Final = (
    f"services:\n  agent:\n    image: {_PINNED}\n    restart: always\n"
    "    ports:\n      - 8443:8443\n"
    "    volumes:\n      - /var/run/dstack.sock:/var/run/dstack.sock\n"
)
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$", max_length=8192)]
_PROVIDER_KINDS: Final = {"none": 0, "local-sgx": 1, "kms": 2, "other-kms": 2, "tpm": 3}
_EFI: Final = {"variable": 0x80000001, "boot": 0x80000002, "app": 0x80000003, "action": 0x80000007}
_FIRMWARE: Final = {"handoff": 0x8000000B, "volume": 0x8000000A, "separator": 4, "acpi": 10}
_TAG: Final = 6


def compose_text(image: str = _PINNED, **more: Any) -> str:
    """Return an app-compose file: one service under `image`, `more` keys added or replaced."""
    value = {
        "manifest_version": 2,
        "name": "agent",
        "runner": "docker-compose",
        "docker_compose_file": _SERVICES.replace(_PINNED, image),
        "kms_enabled": True,
        "gateway_enabled": True,
        "public_logs": False,
        "public_sysinfo": True,
        "public_tcbinfo": True,
        "local_key_provider_enabled": False,
        "no_instance_id": False,
        "secure_time": True,
        "allowed_envs": [],
        **more,
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class ExtraEvent(BaseModel):
    """A runtime event beyond those that every boot measures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Annotated[str, Field(min_length=1, max_length=64)]
    payload: Hex = ""


class Boot(BaseModel):
    """One start of a machine. Everything here is measured or shows in the quote.

    Attributes:
        app: a name; the app id follows from it unless `app_id` says otherwise.
        compose: the app-compose file, byte for byte as delivered.
        disk: a name; the instance id follows from it and the app, so it survives a restart.
        image: version of the OS image.
        dev: a development image, which lets people in.
        cpu_count, memory_mb: the size of the machine, measured into RTMR0.
        style: age of the guest agent: how it writes the log, and which events it measures.
        key_provider: where app keys come from; `other-kms` is a KMS of somebody else.
        mr_config: what the host put into mr_config_id.
        debug, sept_ve_disable: attributes of the TD.
        platform: name of the processor it runs on; the PPID follows from it.
        patched: the processor has had the update that a recovery asks for.
        before_ready, after_ready: further events, before and after `system-ready`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    app: Annotated[str, Field(min_length=1, max_length=64)] = "phala"
    app_id: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    compose: Annotated[str, Field(max_length=200_000)] = compose_text()
    disk: Annotated[str, Field(min_length=1, max_length=64)] = "disk-1"
    no_instance_id: bool = False
    image: Annotated[str, Field(max_length=64)] = "dstack-0.5.8"
    dev: bool = False
    cpu_count: Annotated[int, Field(ge=1, le=1024)] = 2
    memory_mb: Annotated[int, Field(ge=256, le=1 << 24)] = 4096
    style: Style = "0.5"
    key_provider: Literal["kms", "other-kms", "local-sgx", "tpm", "none"] = "kms"
    mr_config: Literal["unset", "v1", "v2"] = "v1"
    debug: bool = False
    sept_ve_disable: bool = True
    platform: Annotated[str, Field(min_length=1, max_length=64)] = "platform-1"
    patched: bool = False
    before_ready: tuple[ExtraEvent, ...] = ()
    after_ready: tuple[ExtraEvent, ...] = ()

    @property
    def app_id_bytes(self) -> bytes:
        """20 bytes."""
        if self.app_id is not None:
            return bytes.fromhex(self.app_id)
        return hashlib.sha256(b"sandbox tee app " + self.app.encode()).digest()[:20]

    @property
    def compose_hash(self) -> bytes:
        """SHA-256 of the very bytes."""
        return hashlib.sha256(self.compose.encode()).digest()

    @property
    def instance_id(self) -> bytes:
        """20 bytes, or none at all."""
        if self.no_instance_id:
            return b""
        seed = hashlib.sha256(self.disk.encode()).digest()
        return hashlib.sha256(seed + self.app_id_bytes).digest()[:20]

    @property
    def os_image_hash(self) -> bytes:
        """What the image's publisher would publish, 32 bytes."""
        return hashlib.sha256(f"sha256sum.txt of {self._image}".encode()).digest()

    @property
    def mr_td(self) -> bytes:
        """The firmware's measurement, 48 bytes; images of one generation share it."""
        generation = self.image.rpartition(".")[0]
        return hashlib.sha384(f"firmware of {generation}".encode()).digest()

    @property
    def _image(self) -> str:
        return f"{self.image}-dev" if self.dev else self.image

    def provider(self, kms_root: bytes) -> bytes:
        """Return the payload of the key-provider event.

        Args:
            kms_root: SubjectPublicKeyInfo of the KMS root authority, DER.
        """
        name = "kms" if self.key_provider == "other-kms" else self.key_provider
        value = {"name": name, "id": self.provider_id(kms_root).hex()}
        return json.dumps(value, separators=(",", ":")).encode()

    def provider_id(self, kms_root: bytes) -> bytes:
        """Return the id in it: the KMS root, an enclave's measurement, or nothing."""
        if self.key_provider in {"kms", "other-kms"}:
            return kms_root
        if self.key_provider == "none":
            return b""
        return hashlib.sha256(f"provider {self.key_provider}".encode()).digest()

    def mr_config_id(self, kms_root: bytes) -> bytes:
        """Return what the host set before the boot, 48 bytes."""
        value = b""
        if self.mr_config == "v1":
            value = b"\x01" + self.compose_hash
        elif self.mr_config == "v2":
            kind = bytes([_PROVIDER_KINDS[self.key_provider]])
            said = self.compose_hash + self.app_id_bytes + kind + self.provider_id(kms_root)
            value = b"\x02" + keccak(said)
        return value.ljust(48, b"\0")

    def vm_config(self) -> str:
        """Return what the host says of the machine, as JSON text; nobody may believe it."""
        value = {
            "os_image_hash": self.os_image_hash.hex(),
            "cpu_count": self.cpu_count,
            "memory_size": self.memory_mb << 20,
            "qemu_single_pass_add_pages": False,
            "pic": False,
            "qemu_version": "8.2.2",
            "pci_hole64_size": 0,
            "hugepages": False,
            "num_gpus": 0,
            "num_nvswitches": 0,
            "hotplug_off": False,
            "image": self._image,
        }
        return json.dumps(value, separators=(",", ":"))

    def events(self, kms_root: bytes) -> list[Event]:
        """Return everything that this boot measures, in order."""
        return [*self._firmware(), *self._runtime(kms_root)]

    def _firmware(self) -> list[Event]:
        """RTMR0: hardware and variables; RTMR1: kernel; RTMR2: command line and initrd."""
        size = f"{self.cpu_count} cpus, {self.memory_mb} MB"
        told = [
            (0, _FIRMWARE["handoff"], "", f"handoff, {size}"),
            (0, _FIRMWARE["volume"], "", "firmware volume"),
            *((0, _EFI["variable"], "", name) for name in ("SecureBoot", "PK", "KEK", "db", "dbx")),
            (0, _FIRMWARE["separator"], "", "\0\0\0\0"),
            *((0, _FIRMWARE["acpi"], f"acpi-{part}", f"ACPI {part}, {size}") for part in _ACPI),
            (1, _EFI["app"], "", f"kernel of {self._image}"),
            (0, _EFI["boot"], "", "BootOrder"),
            (0, _EFI["boot"], "", "Boot0000"),
            (1, _EFI["action"], "", "Calling EFI Application from Boot Option"),
            (1, _FIRMWARE["separator"], "", "\0\0\0\0"),
            (2, _TAG, "", f"command line of {self._image}"),
            (2, _TAG, "", f"initrd of {self._image}"),
            (1, _EFI["action"], "", "Exit Boot Services Invocation"),
            (1, _EFI["action"], "", "Exit Boot Services Returned with Success"),
        ]
        return [Event(register, kind, name, text.encode()) for register, kind, name, text in told]

    def _runtime(self, kms_root: bytes) -> list[Event]:
        told = [
            ("system-preparing", b""),
            ("app-id", self.app_id_bytes),
            ("compose-hash", self.compose_hash),
            ("instance-id", self.instance_id),
            ("boot-mr-done", b""),
        ]
        if self.key_provider in {"kms", "other-kms"}:
            if self.style == "0.5":
                told.append(("mr-kms", hashlib.sha256(b"measurement of the KMS").digest()))
            told.append(("os-image-hash", self.os_image_hash))
        told += [("key-provider", self.provider(kms_root)), ("storage-fs", b"zfs")]
        told += _told(self.before_ready)
        told += [("system-ready", b""), *_told(self.after_ready)]
        return [self.runtime_event(name, payload) for name, payload in told]

    def runtime_event(self, name: str, payload: bytes) -> Event:
        """Return an event of RTMR3 as this machine measures it."""
        return Event(3, RUNTIME, name, payload, 2 if self.style == "0.6-v2" else 1)


_ACPI: Final = ("loader", "rsdp", "tables")


def _told(events: tuple[ExtraEvent, ...]) -> list[tuple[str, bytes]]:
    return [(extra.event, bytes.fromhex(extra.payload)) for extra in events]
