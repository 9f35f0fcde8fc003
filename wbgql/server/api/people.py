"""Resolvers for mutations of keys, users, teams and their members."""

from __future__ import annotations

from wbgql.errors import UsageError
from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.api.roots import entity_node
from wbgql.server.backend import Context
from wbgql.server.projects import members as project_members
from wbgql.server.projects import people
from wbgql.server.projects.rows import make_id
from wbgql.server.store.database import Row

resolvers = Resolvers()
field, mutation = resolvers.field, resolvers.mutation


@mutation("generateApiKey")
def generate_api_key(context: Context, given: Row) -> Row:
    return {"apiKey": people.add_key(context, given.get("description"))}


@mutation("deleteApiKey")
def delete_api_key(context: Context, given: Row) -> Row:
    people.delete_key(context, given.get("id"))
    return {"success": True}


@mutation("createUser")
def create_user(context: Context, given: Row) -> Row:
    return {"user": people.add_user(context, given["email"], bool(given.get("admin")))}


@mutation("updateUser")
def update_user(context: Context, given: Row) -> Row:
    return {"user": people.set_default_entity(context, given["defaultEntity"])}


@mutation("createProjectMembers")
def create_project_members(context: Context, given: Row) -> Row:
    project_members.add(context, given["projectId"], given.get("userIds") or [], given.get("teamIds") or [])
    return {"success": True}


@mutation("deleteProjectMembers")
def delete_project_members(context: Context, given: Row) -> Row:
    project_members.remove(
        context, given["projectId"], given.get("userIds") or [], given.get("teamIds") or []
    )
    return {"success": True}


@mutation("updateProjectMember")
def update_project_member(context: Context, given: Row) -> Row:
    project_members.set_role(context, given["projectId"], given["userProjectRole"], user=given["userId"])
    return {"success": True}


@mutation("updateProjectTeamMember")
def update_project_team_member(context: Context, given: Row) -> Row:
    project_members.set_role(context, given["projectId"], given["teamProjectRole"], team=given["teamId"])
    return {"success": True}


@field("Project", "members")
def members_of_project(project: Row, info: Info) -> list[Row]:
    return [
        member
        | {
            "role": {"name": member["roleName"]},
            "projectRoleIsInherited": False,
            "email": member["email"] if info.context.knows(member["pk"]) else "",
        }
        for member in project_members.list_users(info.context, project)
    ]


@field("Project", "teamMembers")
def teams_of_project(project: Row, info: Info) -> list[Row]:
    return [
        {"team": entity_node(team), "role": {"name": team["roleName"]}}
        for team in project_members.list_teams(info.context, project)
    ]


@mutation("createTeam")
def create_team(context: Context, given: Row) -> Row:
    return {
        "entity": entity_node(people.add_team(context, given["teamName"], given.get("teamAdminUserName")))
    }


@mutation("createInvite")
def create_invite(context: Context, given: Row) -> Row:
    who = given.get("username") or given.get("email")
    if not who:
        raise UsageError("createInvite needs a username or an email")
    role = given.get("role") or ("admin" if given.get("admin") else "member")
    user = people.invite(context, given.get("entityName") or "", who, role)
    invitation = {
        "id": make_id("Invite", user["pk"]),
        "name": user["name"],
        "email": user["email"],
        "accepted": True,
        "createdAt": context.backend.now(),
        "toUser": user,
    }
    return {"success": True, "invite": invitation}


@mutation("deleteInvite")
def delete_invite(context: Context, given: Row) -> Row:
    """Members are taken out through this: the SDK sends the id of a member."""
    return {"success": people.remove_member(context, given.get("entityName") or "", given.get("id"))}
