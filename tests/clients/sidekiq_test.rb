# frozen_string_literal: true

# Sidekiq: its server is a process of its own; queues, schedules, retries, dead jobs, statistics.
require "minitest/autorun"
require "tempfile"
require "sidekiq/api"
require_relative "sidekiq_jobs"

PATIENCE = 60

# A Sidekiq server.
class Server
  def initialize
    jobs = File.join(__dir__, "sidekiq_jobs.rb")
    queues = %w[--queue urgent --queue default]
    @log = Tempfile.new
    @pid = spawn("sidekiq", "--require", jobs, "--concurrency", "3", *queues, %i[out err] => @log.path)
  end

  def stop
    Process.kill("TERM", @pid)
    _, status = Process.wait2(@pid)
    puts File.read(@log.path) unless status.success?
  end
end

class SidekiqTest < Minitest::Test
  def self.server
    @server ||= Server.new
  end

  # One server for all tests.
  def self.stop_server
    @server&.stop
    @server = nil
  end
  Minitest.after_run { stop_server }

  def setup
    @redis = notes
    @redis.flushdb
    SidekiqTest.server
  end

  def teardown
    @redis.close
  end

  # What has been noted in a list, as soon as it is that many.
  def noted(list, count)
    (1..count).map { @redis.blpop(list, timeout: PATIENCE)&.last }
  end

  def eventually
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
    until yield
      flunk "waited too long" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      sleep 0.01
    end
  end

  def test_jobs_one_by_one_and_in_bulk
    before = Sidekiq::Stats.new.processed
    10.times { |number| Note.perform_async("seen", number) }
    Sidekiq::Client.push_bulk("class" => Note, "args" => (10...200).map { |number| ["seen", number] })
    assert_equal((0...200).to_a, noted("seen", 200).map(&:to_i).sort)
    # Told with the server's heartbeat.
    eventually { Sidekiq::Stats.new.processed >= before + 200 }
    assert_equal 0, Sidekiq::Queue.new.size
  end

  def test_scheduled_jobs
    late = Note.perform_in(3600, "seen", "late")
    Note.perform_in(0.5, "seen", "soon")
    assert_equal ["soon"], noted("seen", 1)
    assert_equal [late], Sidekiq::ScheduledSet.new.map(&:jid)
    Sidekiq::ScheduledSet.new.find_job(late).add_to_queue
    assert_equal ["late"], noted("seen", 1)
  end

  def test_retries
    id = SucceedLater.perform_async("attempts", 2)
    eventually { Sidekiq::RetrySet.new.find_job(id) }
    job = Sidekiq::RetrySet.new.find_job(id)
    assert_equal ["not yet", 0], job.item.values_at("error_message", "retry_count")
    assert_in_delta Time.now.to_f + 20, job.score, 20
    job.retry
    assert_equal ["2"], noted("attempts:done", 1)
    assert_equal 0, Sidekiq::RetrySet.new.size
  end

  def test_dead_jobs
    id = Fail.perform_async
    eventually { Sidekiq::DeadSet.new.size == 1 }
    dead = Sidekiq::DeadSet.new.find_job(id)
    assert_equal "on purpose", dead["error_message"]
    dead.delete
    assert_equal 0, Sidekiq::DeadSet.new.size
  end

  def test_several_queues
    Note.perform_async("order", "default")
    Urgent.perform_async("order")
    assert_equal %w[default urgent], noted("order", 2).sort
    assert_equal %w[default urgent], Sidekiq::Queue.all.map(&:name).sort
  end

  def test_a_server_that_is_quiet_leaves_jobs_to_the_next
    eventually { Sidekiq::ProcessSet.new.size == 1 }
    process = Sidekiq::ProcessSet.new.first
    assert_equal 3, process["concurrency"]
    process.quiet!
    eventually { Sidekiq::ProcessSet.new.first&.stopping? }
    Note.perform_async("seen", "waits")
    SidekiqTest.stop_server
    assert_equal 0, Sidekiq::ProcessSet.new.size
    assert_equal ["waits"], Sidekiq::Queue.new.map { |job| job.args.last }
    SidekiqTest.server
    assert_equal ["waits"], noted("seen", 1)
  end
end
