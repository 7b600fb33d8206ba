"""A project file goes into the database once, and its users can log in."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from cloud import auth
from cloud.documents import DocumentError
from cloud.sites.importer import add_users, import_project, load_project_file
from cloud.sites.project_file import ProjectFile
from cloud.sites.tables import devices, sessions, users

DEMO = Path(__file__).parents[4] / "firmware-configs" / "demo" / "qingsong-project.yaml"


@pytest.fixture(scope="module")
def demo_file() -> ProjectFile:
    return load_project_file(DEMO)


def test_importing_twice_adds_nothing(sqlite_engine: Engine, demo_file: ProjectFile) -> None:
    with sqlite_engine.begin() as connection:
        assert import_project(connection, demo_file, cutover_on=date(2026, 10, 1)) > 100
    with sqlite_engine.begin() as connection:
        assert import_project(connection, demo_file, cutover_on=date(2026, 11, 1)) == 0
        assert connection.scalar(select(func.count()).select_from(devices)) == 58


def test_users_log_in_with_the_password_that_was_drawn(
    sqlite_engine: Engine, demo_file: ProjectFile
) -> None:
    with sqlite_engine.begin() as connection:
        import_project(connection, demo_file, cutover_on=date(2026, 10, 1))
        made = add_users(connection, demo_file)
        assert add_users(connection, demo_file) == []
    passwords = {name: word for _, name, word in made}
    assert len(set(passwords.values())) == len(demo_file.users)
    token = auth.log_in(sqlite_engine, "resident", passwords["resident"])
    with sqlite_engine.begin() as connection:
        person = auth.person_of(connection, token)
        assert person is not None
        assert (person.role, person.premise_id, person.is_staff) == ("resident", "1-303", False)
        assert auth.person_of(connection, token + "x") is None
        auth.log_out(connection, token)
        assert auth.person_of(connection, token) is None


@pytest.mark.parametrize(("name", "word"), [("manager", "wrong"), ("nobody", "wrong")])
def test_a_wrong_login_is_refused_without_a_hint(
    sqlite_engine: Engine, demo_file: ProjectFile, name: str, word: str
) -> None:
    with sqlite_engine.begin() as connection:
        import_project(connection, demo_file, cutover_on=date(2026, 10, 1))
        add_users(connection, demo_file)
    with pytest.raises(auth.LoginRefusedError, match="user name or password is wrong"):
        auth.log_in(sqlite_engine, name, word)


def test_lost_passwords_are_renewed_and_old_ones_end(
    sqlite_engine: Engine, demo_file: ProjectFile
) -> None:
    with sqlite_engine.begin() as connection:
        import_project(connection, demo_file, cutover_on=date(2026, 10, 1))
        old = {name: word for _, name, word in add_users(connection, demo_file)}
        new = {name: word for _, name, word in add_users(connection, demo_file, renew=True)}
        assert connection.scalar(select(func.count()).select_from(users)) == len(demo_file.users)
    assert old.keys() == new.keys()
    with pytest.raises(auth.LoginRefusedError):
        auth.log_in(sqlite_engine, "clerk", old["clerk"])
    assert auth.log_in(sqlite_engine, "clerk", new["clerk"])


def test_an_ended_session_and_a_locked_user_are_strangers(
    sqlite_engine: Engine, demo_file: ProjectFile
) -> None:
    with sqlite_engine.begin() as connection:
        import_project(connection, demo_file, cutover_on=date(2026, 10, 1))
        made = {name: word for _, name, word in add_users(connection, demo_file)}
    clerk = auth.log_in(sqlite_engine, "clerk", made["clerk"])
    guard = auth.log_in(sqlite_engine, "guard", made["guard"])
    with sqlite_engine.begin() as connection:
        connection.execute(update(users).where(users.c.username == "guard").values(active=False))
        assert auth.person_of(connection, guard) is None
        assert auth.person_of(connection, clerk) is not None
        connection.execute(update(sessions).values(expires_us=1))
        assert auth.person_of(connection, clerk) is None
    with pytest.raises(auth.LoginRefusedError):
        auth.log_in(sqlite_engine, "guard", made["guard"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("building: b1, premise: 1-101", "building: b9, premise: 1-101", "'b9' is not in this"),
        ("role: sub", "role: slave", "meters.6.role"),
        ("kind: home", "kind: home, colour: red", "premises.0: unknown key colour"),
        ('area_m2: "118.62"', 'area_m2: "-1"', "premises.0.area_m2"),
    ],
)
def test_faults_name_the_file_and_the_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "estate.yaml"
    text = DEMO.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DocumentError, match=says) as caught:
        load_project_file(path)
    assert all(fault.startswith(f"{path}: ") for fault in caught.value.faults)


def test_a_meter_has_all_of_its_gateway_or_none(demo_file: ProjectFile) -> None:
    document = demo_file.model_dump(mode="json")
    document["meters"][0] |= {"gateway": None, "device": None}
    with pytest.raises(ValueError, match=r"gateway, device missing: allowed are all of .* or none"):
        ProjectFile.model_validate(document)
    document["meters"][0] |= {"profile": None, "point": None}
    assert ProjectFile.model_validate(document).meters[0].device is None
